#!lua name=undertone_@version@

-- What has to be one step, as functions. `@version@` is a digest of this text, so that gateways of two
-- versions can share a server. Numbers that must be exact to the bit are passed as packed doubles.

local function register(name, callback, flags)
  redis.register_function{
    function_name = 'undertone_@version@_' .. name, callback = callback, flags = flags or {},
  }
end

local READS = {'no-writes'}
local FREES = {'allow-oom'}  -- what makes room works where there is none

local function whole(number)
  return string.format('%.0f', number)
end

local function exact(number)
  return string.format('%.17g', number)
end

local function micros()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Later than every score of the sorted set `key`: microseconds, unless the clock went back.
local function stamp(key)
  local now = micros()
  local newest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2]
  if newest and tonumber(newest) >= now then
    now = tonumber(newest) + 1
  end
  return whole(now)
end

register('there', function() return 1 end, READS)
