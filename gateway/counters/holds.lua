-- Part of consume.lua, where something is held or due, and of settle.lua: what is held under a reservation, how it ends, and how long its end is remembered.
--
-- KEYS     2 usage   {l17}:usage             stream of usage events
--          3 due     {l17}:due               zset of customers by when something of theirs is due, for the keeper
--          behind each {l17}:use:<customer>:  {l17}:hold:<customer>, a hash of reservations, and {l17}:dues:<customer>, a
--          zset of them by when they are due, in ms; those that have ended by KEPT + when that is forgotten
-- ARGV     none of its own
-- RULE     An open reservation is `o`, when it is due (6 bytes), its quantity (7), its event behind two bytes that say how
--          long it is, and its moves: 1 where a limit begins plus 2 where it is its base, name, start (6), amount (7). One
--          that has ended is how: c committed, r released, x it was due, l due and committed late; by whom it was ended, the
--          answer, and, of x, event and moves.
-- RETURNS  nothing: this defines held.look, .find, .has, .restart, .reserve, .settle, .claim, .answer, .write_ends and .write
-- GUARANTEE  `look`, `find` and `has` read, `restart`, `reserve` and `settle` change what is kept in memory; of `write_ends` and `write`, which
--          write, the first comes first, before counters.

local KEPT = 1000000000000000
local REMEMBER_MS = 86400000

local function pack_moves(moves)
  local packed = {}
  for place, move in ipairs(moves) do
    local marks = (move.first and 1 or 0) + (move.base and 2 or 0)
    packed[place] = struct.pack('>BBc0I6I7', marks, #move.name, move.name, move.start, move.amount)
  end
  return table.concat(packed)
end

local function unpack_moves(packed, from)
  local moves = {}
  while from <= #packed do
    local marks, name, start, amount, behind = struct.unpack('>BBc0I6I7', packed, from)
    moves[#moves + 1] = { first = marks % 2 == 1, base = marks >= 2, name = name, start = start, amount = amount }
    from = behind
  end
  return moves
end

local function unpack_hold(id, packed)
  local hold, from = { id = id, how = string.sub(packed, 1, 1) }, 2
  if hold.how == 'o' then
    hold.due, hold.quantity, from = struct.unpack('>I6I7', packed, from)
  else
    hold.by, hold.answer, from = struct.unpack('>Bc0I2c0', packed, from)
  end
  hold.event, from = struct.unpack('>I2c0', packed, from)
  hold.moves = unpack_moves(packed, from)
  return hold
end

local function pack_hold(hold)
  local opening
  if hold.how == 'o' then
    opening = struct.pack('>c1I6I7', 'o', hold.due, hold.quantity)
  else
    opening = struct.pack('>c1Bc0I2c0', hold.how, #hold.by, hold.by, #hold.answer, hold.answer)
  end
  local settled = hold.how ~= 'o' and hold.how ~= 'x'
  local event = settled and '' or hold.event
  return opening .. struct.pack('>I2c0', #event, event) .. (settled and '' or pack_moves(hold.moves))
end

-- Takes the claim of an event apart around its quantity, and without its kind; neither name nor number holds a comma.
local function around(event) return string.match(event, EVENT) end

function held.claim(event, quantity, kind)
  local before, behind = around(event)
  return string.format('%s%.0f%s%d]', before, quantity, behind, kind)
end

-- Reads the counters of moves that were not read of a customer.
local function read_counters(customer, moves)
  local from = #customer + 1
  for _, move in ipairs(moves) do
    if not customer.of[move.name] then counter_of(customer, move.name, 0) end
  end
  if from > #customer then return end
  local found = redis.call('HMGET', KEYS[customer.place], unpack(customer, from))
  for place, raw in ipairs(found) do
    local counter = customer.of[customer[from + place - 1]]
    counter.raw = raw
    restart(counter)
  end
end

-- Finds out what a customer holds: how much is open, what is due, up to ENDED_MAX, and what may be forgotten.
function held.look(customer, ended_max)
  local hold, dues = customer.place + 1, customer.place + 2
  customer.name = string.match(KEYS[customer.place], '}:use:(.*)$')
  customer.found = redis.call('ZCOUNT', KEYS[dues], '-inf', '(' .. KEPT)
  customer.ending, customer.waiting, customer.forgotten, customer.oldest = {}, {}, {}, MAX
  local first = redis.call('ZRANGE', KEYS[dues], 0, ended_max + 1, 'WITHSCORES')
  local old = redis.call('ZRANGE', KEYS[dues], KEPT, '+inf', 'BYSCORE', 'LIMIT', 0, ended_max + 1, 'WITHSCORES')
  redis.call('ZSCORE', KEYS[3], customer.name) -- a key of another type fails before anything is written
  redis.call('HLEN', KEYS[hold])
  for at = 1, #first, 2 do
    local due = tonumber(first[at + 1])
    local packed
    if due <= now and at < 2 * ended_max then packed = redis.call('HGET', KEYS[hold], first[at]) end
    if packed then
      local one = unpack_hold(first[at], packed)
      read_counters(customer, one.moves)
      customer.ending[#customer.ending + 1] = one
    elseif packed == false then
      customer.forgotten[#customer.forgotten + 1] = first[at]
    elseif due < KEPT then
      customer.waiting[first[at]] = due
    end
  end
  for at = 1, #old, 2 do
    if tonumber(old[at + 1]) - KEPT <= now and at < 2 * ended_max then
      customer.forgotten[#customer.forgotten + 1] = old[at]
    else
      customer.oldest = math.min(customer.oldest, tonumber(old[at + 1]) - KEPT)
    end
  end
  held.restart(customer)
end

-- Gives back what was held and not used, and returns the moves of the event; what exceeds it goes on the base.
function held.settle(customer, hold, used, is_late)
  local told, rest = {}, 0
  for _, move in ipairs(hold.moves) do
    local slot = string.sub(move.name, -1) == '#'
    if move.first then rest = (slot or is_late) and 0 or used end
    local kept = math.min(move.amount, rest)
    local change_by = is_late and 0 or kept - move.amount
    rest = rest - kept
    if move.base and not slot then change_by = change_by + (is_late and used or math.max(0, used - hold.quantity)) end
    if change_by ~= 0 then
      told[#told + 1] = string.format('%s %.0f %.0f', move.name, move.start, change_by)
      local counter = customer.of[move.name]
      if counter.start == move.start then -- of a window that is over, only the event is written
        change(customer, counter, math.max(0, math.min(MAX, counter.used + change_by)), counter.start)
      end
    end
  end
  return table.concat(told, ';')
end

-- Packs what settle.lua answers: of each move how its counter stands.
function held.answer(customer, kind, how, quantity, at, hold)
  local packed = { struct.pack('>I8c1c1I8I8B', now, kind, how, quantity, at, #hold.moves) }
  for _, move in ipairs(hold.moves) do
    local counter = customer.of[move.name]
    packed[#packed + 1] = struct.pack('>Bc0I8I8', #move.name, move.name, counter.used, math.max(0, counter.start))
  end
  return table.concat(packed)
end

-- Ends what is due; what a customer holds is then as it is in Redis, without that.
function held.restart(customer)
  restart_all(customer)
  customer.written, customer.open = {}, customer.found - #customer.ending
  for _, hold in ipairs(customer.ending) do
    hold.told = held.settle(customer, hold, 0)
    hold.how, hold.by, hold.answer = 'x', '', held.answer(customer, 'E', 'x', 0, now, hold)
    customer.written[hold.id] = hold
  end
end

-- Finds a reservation, open or ended; what is due has ended, however many there are.
function held.find(customer, id)
  local one = customer.written[id]
  if one then return one end
  local packed = redis.call('HGET', KEYS[customer.place + 1], id)
  if not packed then return nil end
  one = unpack_hold(id, packed)
  read_counters(customer, one.moves)
  if one.how == 'o' and one.due <= now then
    customer.ending[#customer.ending + 1], customer.waiting[id] = one, nil
    held.restart(customer)
  end
  return one
end

function held.has(customer, id) return redis.call('HEXISTS', KEYS[customer.place + 1], id) == 1 end

function held.reserve(customer, claim, event)
  local id, due = claim.id, now + claim.ttl_ms
  customer.written[id] = { id = id, how = 'o', due = due, quantity = claim.quantity, event = event, moves = claim.moves }
  customer.open, customer.ends = customer.open + 1, math.max(customer.ends or 0, due)
end

function held.write_ends(customer)
  for _, hold in ipairs(customer.ending) do
    if hold.event ~= '' then
      redis.call('XADD', KEYS[2], '*', 'id', hold.id .. '.end', 'at', now, 'claim', held.claim(hold.event, 0, 2), 'moves', hold.told)
    end
  end
end

-- Writes what is held and when the first of it is due; returns that for the customer's hash, if it is there.
function held.write(customer)
  local hold, dues, waiting, earliest, forget = customer.place + 1, customer.place + 2, customer.waiting, MAX, customer.oldest
  for id, one in pairs(customer.written) do
    local open = one.how == 'o'
    redis.call('HSET', KEYS[hold], id, pack_hold(one))
    redis.call('ZADD', KEYS[dues], open and one.due or KEPT + now + REMEMBER_MS, id)
    waiting[id] = open and one.due or nil
    if not open then forget = math.min(forget, now + REMEMBER_MS) end
  end
  for _, id in ipairs(customer.forgotten) do
    redis.call('HDEL', KEYS[hold], id)
    redis.call('ZREM', KEYS[dues], id)
  end
  for _, due in pairs(waiting) do earliest = math.min(earliest, due) end
  if math.min(earliest, forget) < MAX then
    redis.call('ZADD', KEYS[3], math.min(earliest, forget), customer.name)
  else
    redis.call('ZREM', KEYS[3], customer.name)
  end
  if earliest < MAX and (customer.exists or customer.counted) then return { '.d', earliest } end
  if customer.due then redis.call('HDEL', KEYS[customer.place], '.d') end
  return {}
end
