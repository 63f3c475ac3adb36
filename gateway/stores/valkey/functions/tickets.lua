-- Tickets
--
-- Of each hash: its grant, its place in the order of issue, its expiry, and its line in a list by session.

local function line(session, order, hash)
  return session .. ':' .. string.format('%020.0f', tonumber(order)) .. ':' .. hash
end

local function take(keys, hash)
  local grant = redis.call('HGET', keys[1], hash)
  if grant then
    local session = string.match(grant, '^[^ ]+')
    redis.call('ZREM', keys[4], line(session, redis.call('ZSCORE', keys[2], hash), hash))
    redis.call('HDEL', keys[1], hash)
    redis.call('ZREM', keys[2], hash)
    redis.call('ZREM', keys[3], hash)
  end
  return grant
end

local function of_session(keys, session)
  return redis.call('ZRANGEBYLEX', keys[4], '[' .. session .. ':', '(' .. session .. ';')
end

local function hash_of(found)
  return string.match(found, '[^:]+$')
end

-- the four; hash, grant, expiry, session, at most in all, at most of one session, milliseconds to live:
-- how many had to go
register('issue', function(keys, args)
  local hash, session = args[1], args[4]
  take(keys, hash)
  local evicted = 0
  local theirs = of_session(keys, session)
  for place = 1, #theirs - tonumber(args[6]) + 1 do
    take(keys, hash_of(theirs[place]))
    evicted = evicted + 1
  end
  while redis.call('HLEN', keys[1]) >= tonumber(args[5]) do
    take(keys, redis.call('ZRANGE', keys[2], 0, 0)[1])
    evicted = evicted + 1
  end
  local order = stamp(keys[2])
  redis.call('HSET', keys[1], hash, args[2])
  redis.call('ZADD', keys[2], order, hash)
  redis.call('ZADD', keys[3], args[3], hash)
  redis.call('ZADD', keys[4], 0, line(session, order, hash))
  for _, key in ipairs(keys) do
    redis.call('PEXPIRE', key, args[7])
  end
  return evicted
end)

-- the four; hash: the grant
register('redeem', function(keys, args)
  return take(keys, args[1])
end, FREES)

-- the four; session
register('revoke', function(keys, args)
  for _, found in ipairs(of_session(keys, args[1])) do
    take(keys, hash_of(found))
  end
  return 1
end, FREES)

-- the four; time, at most: how many had expired
register('purge', function(keys, args)
  local old = redis.call('ZRANGEBYSCORE', keys[3], '-inf', args[1], 'LIMIT', 0, args[2])
  for _, hash in ipairs(old) do
    take(keys, hash)
  end
  return #old
end, FREES)
