-- Tasks
--
-- A session's tickets are one hash: of each task, `d:<id>` what it is, and `s:<id>` how it stands, as
-- <order>|<state>|<node>|<time>|<message>; `n` is the order of the newest.

local function standing(said)
  return string.match(said, '^(%d+)|(%a+)|([^|]*)|([^|]*)|(.*)$')
end

local function stand(key, id, order, state, node, at, message)
  redis.call('HSET', key, 's:' .. id, order .. '|' .. state .. '|' .. node .. '|' .. at .. '|' .. message)
end

-- tickets, document of the session; id, what it is, state, node, time, at most, milliseconds to live:
-- 'gone' where there is no session, 'full', or ids of those that had to go
register('take_task', function(keys, args)
  if redis.call('EXISTS', keys[2]) == 0 then
    return 'gone'
  end
  local fields = redis.call('HGETALL', keys[1])
  local count, useless = 0, {}
  for place = 1, #fields, 2 do
    local id = string.match(fields[place], '^s:(.+)$')
    if id then
      local order, state = standing(fields[place + 1])
      count = count + 1
      if state == 'failed' or state == 'cancelled' then
        useless[#useless + 1] = {tonumber(order), id}
      end
    end
  end
  local surplus = count - tonumber(args[6]) + 1
  if surplus > #useless then
    return 'full'
  end
  table.sort(useless, function(one, other) return one[1] < other[1] end)
  local went = {}
  for place = 1, surplus do
    went[place] = useless[place][2]
    redis.call('HDEL', keys[1], 's:' .. went[place], 'd:' .. went[place])
  end
  local order = redis.call('HINCRBY', keys[1], 'n', 1)
  redis.call('HSET', keys[1], 'd:' .. args[1], args[2])
  stand(keys[1], args[1], order, args[3], args[4], args[5], '')
  redis.call('PEXPIRE', keys[1], args[7])
  return went
end)

-- tickets; id, node, state, time, message, milliseconds to live
register('move_task', function(keys, args)
  local said = redis.call('HGET', keys[1], 's:' .. args[1])
  if not said then
    return 'gone'
  end
  local order, _, node = standing(said)
  if node ~= args[2] then
    return 'others'
  end
  stand(keys[1], args[1], order, args[3], node, args[4], args[5])
  redis.call('PEXPIRE', keys[1], args[6])
  return 'done'
end)

-- tickets; id, node and state as they must be, the new ones, time, milliseconds to live: whether they were so
register('adopt_task', function(keys, args)
  local said = redis.call('HGET', keys[1], 's:' .. args[1])
  if not said then
    return 0
  end
  local order, state, node = standing(said)
  if node ~= args[2] or state ~= args[3] then
    return 0
  end
  stand(keys[1], args[1], order, args[5], args[4], args[6], '')
  redis.call('PEXPIRE', keys[1], args[7])
  return 1
end)

-- tickets: their ids
register('discard_tasks', function(keys)
  local ids = {}
  for _, field in ipairs(redis.call('HKEYS', keys[1])) do
    ids[#ids + 1] = string.match(field, '^s:(.+)$')
  end
  redis.call('DEL', keys[1])
  return ids
end, FREES)
