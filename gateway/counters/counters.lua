-- Part of consume.lua and settle.lua: the counters of a customer, read once, changed in memory, written once.
--
-- KEYS     of each customer {l17}:use:<customer>, at `place`: a hash: <counter>, .v the document's version, .d when the
--          first of what is held is due
-- ARGV     none of its own
-- RULE     A counter is used (7 bytes) and the start of its window (6); behind them a pool's base has the ordinal of that
--          window (6), a slot, which starts at its ordinal, its size (7), a sliding window what the one before used (7).
--          A GCRA is its theoretical arrival in µs (7), alone. A customer is a list of what is read of it.
-- RETURNS  nothing: this defines functions
-- GUARANTEE  `read` reads, `restart_all` undoes all changes in memory, `write` writes: one HMGET and one HSET.

local NONE, ARRIVAL = -1, -2 -- starts of what is not there, and of a GCRA, which has none
local EVENT = '^(%[%d+,[^,]*,[^,]*,[^,]*,)%d+(,.*,)%d%]$' -- a claim around its quantity, and without its kind; no name has a comma
local NAMES_MAX = 3000 -- so many can be told to Redis at once

local function bad(text) error({ err = 'BADARG ' .. text }) end

local function customer_at(place)
  return { '.v', '.d', place = place, of = {}, version = false, counted = false, ends = false, holds = false, due = false }
end

-- The counter of a customer by its name; one that is new is read with all others.
local function counter_of(customer, name, claim)
  local counter = customer.of[name]
  if not counter then
    counter = { name = name, claim = claim, used = 0, start = NONE, rest = '', raw = false, changed = false }
    customer.of[name], customer[#customer + 1] = counter, name
    if #customer > NAMES_MAX then bad('a customer has more than ' .. NAMES_MAX .. ' counters in a call') end
  elseif counter.claim == claim then
    bad('the counter ' .. name .. ' is named twice in a claim')
  end
  counter.claim = claim
  return counter
end

local function restart(counter)
  local raw = counter.raw
  counter.used, counter.start, counter.rest, counter.changed = 0, NONE, '', false
  if not raw then return end
  if #raw == 7 then
    counter.used, counter.start = struct.unpack('>I7', raw), ARRIVAL
  elseif #raw == 13 or #raw == 19 or #raw == 20 then
    counter.used, counter.start = struct.unpack('>I7I6', raw)
    if #raw > 13 then counter.rest = string.sub(raw, 14) end
  else
    bad('the counter ' .. counter.name .. ' has ' .. #raw .. ' bytes; expected 7, 13, 19 or 20')
  end
  if counter.used > MAX then bad('the counter ' .. counter.name .. ' is above 2^53-1') end
end

-- Takes back all that was done to a customer in memory.
local function restart_all(customer)
  for place = 3, #customer do restart(customer.of[customer[place]]) end
  customer.counted, customer.ends = false, false
end

local function read(customer)
  local found = redis.call('HMGET', KEYS[customer.place], unpack(customer))
  customer.version = found[1] and whole('the version', found[1], 1)
  customer.exists, customer.due = customer.version, found[2] and whole('.d', found[2], 1)
  for place = 3, #customer do
    local counter = customer.of[customer[place]]
    counter.raw = found[place]
    if found[place] then restart(counter) end
  end
end

-- Changes a counter; `ends` tells when its window does, if it begins.
local function change(customer, counter, used, start, ends)
  counter.used, counter.start, counter.changed = used, start, true
  if ends then customer.ends = math.max(customer.ends or 0, ends) end
end

-- `fields` may hold more for the hash, such as .d; the hash lives as long as its longest window.
local function write(customer, fields)
  local n, place = #fields, customer.place
  for at = 3, #customer do
    local counter = customer.of[customer[at]]
    if counter.changed then
      fields[n + 1] = counter.name
      if counter.start == ARRIVAL then
        fields[n + 2] = struct.pack('>I7', counter.used)
      else
        fields[n + 2] = struct.pack('>I7I6', counter.used, counter.start) .. counter.rest
      end
      n = n + 2
    end
  end
  if customer.counted and customer.counted ~= customer.exists then
    fields[n + 1], fields[n + 2] = '.v', customer.counted
    n = n + 2
  end
  if n > 0 then redis.call('HSET', KEYS[place], unpack(fields)) end
  local ends = customer.ends
  if not ends then -- no window begins
  elseif ends > START_MAX then redis.call('PERSIST', KEYS[place])
  elseif customer.exists then redis.call('PEXPIREAT', KEYS[place], ends + GRACE_MS, 'GT')
  else redis.call('PEXPIREAT', KEYS[place], ends + GRACE_MS) end
end
