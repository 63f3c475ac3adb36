-- Nodes
--

-- As gateway.sessions.clusterclock.agreed; `estimate` may be nil.
local LEAP = 5

local function agreed(server, kept_server, kept_cluster, estimate)
  local passed = server - kept_server
  if (passed >= 0 and passed <= LEAP) or not estimate then
    return kept_cluster + math.max(0, passed)
  end
  return math.max(kept_cluster, estimate)
end

-- nothing; three times and an estimate, which may be empty: what is agreed
register('agreed', function(_, args)
  return exact(agreed(tonumber(args[1]), tonumber(args[2]), tonumber(args[3]), tonumber(args[4])))
end, READS)

-- time, alive, leader, about, mailbox; node, what it says of itself, its estimate or nothing, seconds of a lease:
-- now, who is alive, whether it leads, what it lost
register('beat', function(keys, args)
  local node, estimate = args[1], tonumber(args[3])
  local server = micros() / 1000000
  local kept = redis.call('HMGET', keys[1], 'server', 'cluster')
  local now
  if kept[1] then
    now = agreed(server, tonumber(kept[1]), tonumber(kept[2]), estimate)
  else
    now = estimate or server
  end
  redis.call('HSET', keys[1], 'server', exact(server), 'cluster', exact(now))
  redis.call('ZADD', keys[2], exact(now), node)
  redis.call('HSET', keys[4], node, args[2])
  local horizon = '(' .. exact(now - tonumber(args[4]))
  local lapsed = redis.call('ZRANGEBYSCORE', keys[2], '-inf', horizon)
  for _, gone in ipairs(lapsed) do
    redis.call('ZREM', keys[2], gone)
    redis.call('HDEL', keys[4], gone)
  end
  local leader = redis.call('GET', keys[3])
  if not leader or not redis.call('ZSCORE', keys[2], leader) then
    leader = node
    redis.call('SET', keys[3], node)
  end
  local lost = redis.call('LRANGE', keys[5], 0, -1)
  redis.call('DEL', keys[5])
  return {exact(now), redis.call('ZRANGE', keys[2], 0, -1), leader == node and 1 or 0, lost}
end)

-- alive, leader, about, mailbox; node
register('leave', function(keys, args)
  redis.call('ZREM', keys[1], args[1])
  if redis.call('GET', keys[2]) == args[1] then
    redis.call('DEL', keys[2])
  end
  redis.call('HDEL', keys[3], args[1])
  redis.call('DEL', keys[4])
  return 1
end, FREES)

-- mailbox; at most, milliseconds to live, sessions
register('lost', function(keys, args)
  for place = 3, #args do
    redis.call('RPUSH', keys[1], args[place])
  end
  redis.call('LTRIM', keys[1], -tonumber(args[1]), -1)
  redis.call('PEXPIRE', keys[1], args[2])
  return 1
end)
