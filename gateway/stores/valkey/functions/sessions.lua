-- Sessions
--
-- A document: d the JSON, v its version, s the status, t the tenant (digests of namespace, user, device).

-- document; version, JSON, status, tenant, milliseconds to live: whether it is new
register('create', function(keys, args)
  if redis.call('EXISTS', keys[1]) == 1 then
    return 0
  end
  redis.call('HSET', keys[1], 'v', args[1], 'd', args[2], 's', args[3], 't', args[4])
  redis.call('PEXPIRE', keys[1], args[5])
  return 1
end)

-- document; expected version, version, JSON, status, milliseconds to live: status before, nil where it conflicts
register('update', function(keys, args)
  local kept = redis.call('HMGET', keys[1], 'v', 's')
  if kept[1] ~= args[1] then
    return false
  end
  redis.call('HSET', keys[1], 'v', args[2], 'd', args[3], 's', args[4])
  redis.call('PEXPIRE', keys[1], args[5])
  return kept[2]
end)

-- document; JSON that it must have, or nothing: the tenant, nil where there was none
register('delete', function(keys, args)
  local kept = redis.call('HMGET', keys[1], 't', 'd')
  if args[1] ~= '' and args[1] ~= kept[2] then
    return false
  end
  redis.call('DEL', keys[1])
  return kept[1]
end, FREES)

-- sets that it counts in, then those with a limit; id, how many of the first, limits, milliseconds to live:
-- which limit is reached (0 none), the time in microseconds, for each of the first whether it is new there
register('reserve', function(keys, args)
  local own = tonumber(args[2])
  for place = own + 1, #keys do
    if redis.call('ZCARD', keys[place]) >= tonumber(args[2 + place - own]) then
      return {place - own, micros(), {}}
    end
  end
  local new = {}
  for place = 1, own do
    new[place] = redis.call('ZADD', keys[place], 'NX', stamp(keys[place]), args[1])
    redis.call('PEXPIRE', keys[place], args[#args])
  end
  return {0, micros(), new}
end)

-- sorted sets; id: puts it behind what is there
register('append', function(keys, args)
  for _, key in ipairs(keys) do
    redis.call('ZADD', key, 'NX', stamp(key), args[1])
  end
  return 1
end)
