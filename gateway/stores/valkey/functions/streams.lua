-- Streams
--
-- `log` has the events, with ids <gen>-<seq>, and a marker <gen>-0 for each claim. An event is 9 bytes (when it
-- was made, a double; whether it is final) and the event itself. `meta`: epoch, gen, node (empty: nobody yet), top,
-- old (the oldest held), bytes, runs (gen:first of each writer's stretch), turn, snap, and of the record rtop,
-- rbytes, full. `record` has the final events alone, with ids <seq>-0.

local HEAD = 9

local function seq_of(id)
  return tonumber(string.match(id, '%d+$'))
end

local function made_at(row)
  return (struct.unpack('<d', row[2][2]))
end

-- The id of event `seq`, which is held.
local function place_of(runs, seq)
  local found = '0'
  for gen, first in string.gmatch(runs, '(%d+):(%d+) ') do
    if tonumber(first) > seq then
      break
    end
    found = gen
  end
  return found .. '-' .. whole(seq)
end

-- The stretches without those that are over before event `old`.
local function pruned(runs, old)
  while true do
    local rest, first = string.match(runs, '^%d+:%d+ (%d+:(%d+) .*)$')
    if not rest or tonumber(first) > old then
      return runs
    end
    runs = rest
  end
end

-- The first of events old..top that was made at `horizon` or later; the newest where none was.
local function first_since(log, runs, old, top, horizon)
  while old < top do
    local middle = math.floor((old + top) / 2)
    local id = place_of(runs, middle)
    local row = redis.call('XRANGE', log, id, id)[1]
    if row and made_at(row) >= horizon then
      top = middle
    else
      old = middle + 1
    end
  end
  return old
end

-- What is held after `after`: epoch, the oldest, the top, the id to wait behind, rows of the log.
local function stretch(log, meta, after, limit, horizon)
  local kept = redis.call('HMGET', meta, 'epoch', 'gen', 'top', 'old', 'runs')
  if not kept[1] then
    return false
  end
  local top, old, runs = tonumber(kept[3]), tonumber(kept[4]), kept[5]
  if old < top then
    local id = place_of(runs, old)
    local row = redis.call('XRANGE', log, id, id)[1]
    if row and made_at(row) < horizon then
      old = first_since(log, runs, old, top, horizon)
    end
  end
  local rows = {}
  if after < top and old <= top then
    local from = math.max(after + 1, old)
    rows = redis.call('XRANGE', log, place_of(runs, from), '+', 'COUNT', limit)
    if #rows == 0 then  -- the log was deleted by itself
      old = top + 1
    end
  end
  local marker, last = kept[2] .. '-0', string.match(runs, '(%d+):%d+ $')
  if last == kept[2] then
    marker = last .. '-' .. kept[3]
  end
  return {kept[1], old, top, marker, rows}
end

-- log, meta; after, rows at most, the oldest time that counts
register('tail', function(keys, args)
  return stretch(keys[1], keys[2], tonumber(args[1]), args[2], tonumber(args[3]))
end, READS)

-- log, meta, record; node, turn, an epoch for a new stream, milliseconds to live, rows at most, the oldest time
-- that counts: gen, node before, snapshot, what `stretch` says; nil where a greater turn has claimed it
register('claim', function(keys, args)
  if redis.call('HEXISTS', keys[2], 'epoch') == 0 then
    redis.call('DEL', keys[1], keys[2], keys[3])
    redis.call('HSET', keys[2], 'epoch', args[3], 'gen', 0, 'turn', 0, 'node', '', 'top', 0, 'old', 1, 'bytes', 0,
      'runs', '', 'rtop', 0, 'rbytes', 0, 'full', 0)
  end
  local kept = redis.call('HMGET', keys[2], 'node', 'snap', 'runs', 'turn')
  if tonumber(args[2]) < tonumber(kept[4]) then
    return false
  end
  local gen = redis.call('HINCRBY', keys[2], 'gen', 1)
  if string.match(kept[3], '(%d+):%d+ $') ~= whole(gen - 1) then
    -- Who wrote nothing leaves nothing, or claims alone would fill the log. Its last id stays.
    redis.call('XDEL', keys[1], whole(gen - 1) .. '-0')
  end
  redis.call('HSET', keys[2], 'node', args[1], 'turn', args[2])
  redis.call('XADD', keys[1], gen .. '-0', 'm', '')
  for _, key in ipairs(keys) do
    redis.call('PEXPIRE', key, args[4])
  end
  return {gen, kept[1], kept[2], stretch(keys[1], keys[2], 0, args[5], tonumber(args[6]))}
end)

-- Drops what passes a bound; the newest event stays. Returns the oldest held and the bytes held.
local function trim(log, old, top, held, bounds, rows)
  local cut
  while old < top do
    local found = redis.call('XRANGE', log, cut or '-', '+', 'COUNT', rows)
    for _, row in ipairs(found) do
      local seq = seq_of(row[1])
      if seq > 0 and seq >= old then
        old = seq
        if old == top or not (top - old + 1 > bounds.events or held > bounds.bytes
            or made_at(row) < bounds.horizon) then
          if cut then
            redis.call('XTRIM', log, 'MINID', row[1])
          end
          return old, held
        end
        held = held - (#row[2][2] - HEAD)
        old = seq + 1
      end
      cut = '(' .. row[1]
    end
    if #found == 0 then
      return top + 1, 0
    end
  end
  return old, held
end

-- log, meta, record; milliseconds for which it is known that there was a stream
register('forget', function(keys, args)
  if redis.call('EXISTS', keys[2]) == 1 then
    redis.call('UNLINK', keys[1], keys[2], keys[3])
    redis.call('HSET', keys[2], 'forgotten', 1)
    redis.call('PEXPIRE', keys[2], args[1])
  end
  return 1
end, FREES)

-- log, meta, record; head, snapshot, epoch or nothing, node or nothing, events. The head: gen, first number, milliseconds to live, now, bounds of
-- events, bytes, seconds and record's bytes, whether there is a snapshot, whether events before these are lost.
register('commit', function(keys, args)
  local log, meta, record = keys[1], keys[2], keys[3]
  local gen, first, ttl, now, events, bytes, seconds, most, has, hole = struct.unpack('<dddddddddd', args[1])
  local kept = redis.call('HMGET', meta, 'gen', 'node', 'top', 'old', 'bytes', 'runs', 'rtop', 'rbytes', 'full',
    'epoch')
  if not kept[1] then
    return redis.call('EXISTS', meta) == 1 and 'gone' or 'unknown'
  end
  if args[3] ~= '' and args[3] ~= kept[10] then
    return 'fenced'
  elseif tonumber(kept[1]) < gen then
    return 'reverted'
  elseif tonumber(kept[1]) ~= gen or (args[4] ~= '' and args[4] ~= kept[2]) then
    return 'fenced'
  end
  local top, old, held, runs = tonumber(kept[3]), tonumber(kept[4]), tonumber(kept[5]), kept[6]
  local rtop, rbytes, full = kept[7], tonumber(kept[8]), kept[9]
  local count = #args - 4
  if count > 0 and first ~= top + 1 and (hole == 0 or first <= top) then
    return 'misplaced'
  end
  -- Renewed once a tenth of it has passed, and whatever was just made: each renewal goes to replicas, too.
  local renew = redis.call('PTTL', meta) < 0.9 * ttl
  ttl = whole(ttl)
  local fields = {}
  if has == 1 then
    fields = {'snap', args[2]}
  end
  if count > 0 then
    gen = whole(gen)
    if hole == 1 then
      redis.call('XTRIM', log, 'MAXLEN', 0)
      old, top, held, runs, full = first, first - 1, 0, '', '1'
      renew = true
    elseif old <= top and redis.call('XLEN', log) == 0 then  -- it was deleted by itself
      old, held, runs = top + 1, 0, ''
      renew = true
    end
    for place = 5, #args do
      local event = args[place]
      local size, number = #event - HEAD, whole(top + 1)
      local added = redis.pcall('XADD', log, gen .. '-' .. number, 'e', event)
      if type(added) == 'table' and added.err then
        if place == 5 and string.find(added.err, 'equal or smaller', 1, true) then
          return 'fenced'
        end
        return added
      end
      top, held = top + 1, held + size
      if string.byte(event, HEAD) == 1 and full == '0' then
        if rbytes + size > most then
          full = '1'
        else
          local noted = redis.pcall('XADD', record, number .. '-0', 'e', string.sub(event, HEAD + 1))
          if type(noted) == 'table' and noted.err then  -- it is damaged: what it had is lost
            redis.call('UNLINK', record)
            full = '1'
          else
            renew = renew or rtop == '0'
            rtop, rbytes = number, rbytes + size
          end
        end
      end
    end
    if string.match(runs, '(%d+):%d+ $') ~= gen then
      runs = runs .. gen .. ':' .. whole(first) .. ' '
    end
    local bounds = {events = events, bytes = bytes, horizon = now - seconds}
    old, held = trim(log, old, top, held, bounds, count + 2)
    for _, one in ipairs({'top', whole(top), 'old', whole(old), 'bytes', whole(held), 'runs', pruned(runs, old),
        'rtop', rtop, 'rbytes', whole(rbytes), 'full', full}) do
      fields[#fields + 1] = one
    end
  end
  if #fields > 0 then
    redis.call('HSET', meta, unpack(fields))
  end
  if renew then
    for _, key in ipairs(keys) do
      redis.call('PEXPIRE', key, ttl)
    end
  end
  return 'done'
end)

-- meta, record; after, rows at most: whether it is full, its top, rows
register('record', function(keys, args)
  local kept = redis.call('HMGET', keys[1], 'full', 'rtop')
  if not kept[1] then
    return false
  end
  return {kept[1], kept[2], redis.call('XRANGE', keys[2], '(' .. args[1] .. '-0', '+', 'COUNT', args[2])}
end, READS)
