-- Part of consume.lua, where a claim has a pool or seats: what these say to a quantity, and what they then count.
--
-- KEYS     of each Seats limit, at `place`, a zset {l17}:seat:<customer>:<feature>: subjects by when they were last active,
--          in ms
-- ARGV     none of its own: limits are as order.lua took them apart
-- RULE     A pool's members burn in their order; what none has left goes on its base, as far beyond as that may go.
-- RETURNS  nothing: this defines kinds.read, .rule, .count, .show and .write
-- GUARANTEE  Only `read` reads and only `write` writes, of the zsets: counters are read before, and written behind.

-- What a window of the base has left to later ones:
-- 1. It was written down when the base rolled over. 2. The base still stands in that very window. 3. The base stands in an
-- earlier one, or nowhere: all of it. 4. Else, before the first that rolls over, and where nobody knows: nothing.
local function left_of(member, pool)
  local slot, base, ordinal, size = member.counter, pool.base.counter, member.one, 0
  if slot.start == ordinal then
    if #slot.rest ~= 7 then bad('the counter ' .. slot.name .. ' has no size') end
    return slot.used, struct.unpack('>I7', slot.rest)
  end
  local stands = base.start >= 0 and (#base.rest == 6 and struct.unpack('>I6', base.rest) or MAX) or NONE
  if ordinal >= pool.two and stands <= ordinal then
    size = math.min(member.two, math.max(member.three, pool.base.three - (stands == ordinal and base.used or 0)))
  end
  return 0, size
end

local function rule_pool(pool, quantity)
  local missing, inside = quantity, true
  for _, member in ipairs(pool.members) do
    local counter, within = member.counter, true
    if counter.start == ARRIVAL then bad('the counter ' .. counter.name .. ' has no window') end
    if member.letter == 'r' then
      member.used, member.size = left_of(member, pool)
      member.start = member.one
    else
      local start, ends = member.one, member.two
      if start == 0 then
        start = now - now % ends
        ends = start + ends
      end
      within, member.size, member.ends = now >= start and now < ends, member.three, false
      if counter.start >= start then -- also when TIME has stepped back
        member.used, member.start = counter.used, counter.start
      else
        member.used, member.start, member.ends = 0, start, ends
      end
      member.plain = member.start == start
      if not within and (member.letter == 'w' or member.letter == 'W') then inside = false end
    end
    member.within = within
    member.taken = within and math.min(missing, math.max(0, member.size - member.used)) or 0
    missing = missing - member.taken
  end
  local base = pool.base
  base.taken = base.taken + missing
  return missing == 0 or base.within and base.used + base.taken <= math.min(MAX, base.size + pool.three), inside
end

-- When a base's window begins, all that older windows left is written down.
local function count_pool(pool, customer)
  local base = pool.base
  local rolls = pool.rolls and base.ends
  for _, member in ipairs(pool.members) do
    local unmarked = member == base and pool.rolls and member.plain and #member.counter.rest ~= 6
    if member.taken > 0 or rolls and (member == base or member.letter == 'r') then
      local counter = member.counter
      if member.letter == 'r' then
        counter.rest = struct.pack('>I7', member.size)
      elseif member == base and pool.rolls and member.plain then
        counter.rest = struct.pack('>I6', pool.one)
        if member.ends or unmarked then member.ends = member.two + 12 * (member.two - member.one) end
      elseif member.ends then
        counter.rest = ''
      end
      member.used = member.used + member.taken
      change(customer, counter, member.used, member.start, member.ends)
    end
  end
end

-- What is read of a zset, for all claims that see the same subjects active.
local seen = {}

function kinds.read(limit)
  if limit.letter ~= 'N' then return end
  local since, place = limit.two > 0 and math.max(0, now - limit.two) or limit.one, limit.place
  local id = string.format('%s %.0f', KEYS[place], since)
  local one = seen[id] or { active = redis.call('ZCOUNT', KEYS[place], since, '+inf'), since = since, held = {} }
  if one.held[limit.subject] == nil then
    local score = redis.call('ZSCORE', KEYS[place], limit.subject)
    one.held[limit.subject] = score and tonumber(score) >= since
  end
  limit.seats, seen[id] = one, one
end

function kinds.rule(limit, quantity)
  if limit.members then return rule_pool(limit, quantity) end
  return limit.seats.held[limit.subject] or limit.seats.active + 1 <= limit.three, true
end

function kinds.count(limit, customer)
  if limit.members then return count_pool(limit, customer) end
  if not limit.seats.held[limit.subject] then limit.seats.active = limit.seats.active + 1 end
  limit.seats.held[limit.subject] = true
end

function kinds.show(limit, numbers, n)
  if limit.letter == 'N' then
    numbers[n + 1], numbers[n + 2] = limit.seats.active, 0
    return n + 2
  end
  for _, member in ipairs(limit.members) do
    numbers[n + 1], numbers[n + 2], numbers[n + 3] = member.used, member.start, member.size
    n = n + 3
  end
  return n
end

-- Writes down that a subject is active; who no longer is, is dropped.
function kinds.write(limit)
  if limit.letter ~= 'N' then return end
  local place = limit.place
  redis.call('ZADD', KEYS[place], 'GT', now, limit.subject)
  redis.call('ZREMRANGEBYSCORE', KEYS[place], '-inf', string.format('(%.0f', limit.seats.since))
  if limit.two > 0 then
    redis.call('PEXPIRE', KEYS[place], limit.two + GRACE_MS)
  else
    redis.call('PERSIST', KEYS[place])
  end
end
