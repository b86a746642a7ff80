-- Part of consume.lua: takes the claims of a call apart as order.py packs them, and says what is to be read.
--
-- KEYS     4 … of each claim three, and behind the last of these what not every claim has, as consume.lua says
-- ARGV     3 … of each claim five, as consume.lua says; limits are, each: a letter, its name behind a byte that says how
--          long it is, and three numbers of eight bytes:
--          Q quota, q one that is no part of the moves: start, end (0 and the length, where it is computed), ceiling ·
--          S sliding window: length, ceiling · A GCRA: by how much a claim moves the theoretical arrival, how far ahead it
--          may be, in µs · N seats, named after the subject: since when or, unless 0, within how many ms one is active,
--          ceiling · P pool: ordinal, the first that rolls over, how far beyond; and behind it its members: w one that has
--          windows, g a grant, W or G the base: start, end, size · r what rolled over: ordinal, maximum, minimum
-- RETURNS  nothing, and goes on with `asked`, the claims; `customers`; and whether there are `pools`, `seats` or `holds`
-- GUARANTEE  Nothing is read from Redis. What order.py would not pack is an error.

local DAY_MS = 86400000
local WORTH_MAX = 4503599627370496 -- 2^52: with the time in µs it stays exact
local COUNTERS_MAX = 80 -- of a claim: so many numbers of an answer are counted in a byte
local asked, customers, by_key = {}, {}, {}
local pools, seats, holds = false, false, false

local function numbers_of(packed)
  local quantity, version, one, two, three
  if #packed == 40 then
    quantity, version, one, two, three = struct.unpack('>I8I8I8I8I8', packed)
  elseif #packed == 16 then
    quantity, version = struct.unpack('>I8I8', packed)
  elseif #packed == 24 then
    quantity, version, one = struct.unpack('>I8I8I8', packed)
    if one < 1 or one > DAY_MS then bad(string.format('ttl_ms is %.0f; expected 1 to %.0f', one, DAY_MS)) end
  else
    bad('numbers have ' .. #packed .. ' bytes; expected 16, 24 or 40')
  end
  if quantity < 1 or quantity > MAX or version < 1 or version > MAX
    or three and (one > START_MAX or two < 1 or two > MAX or three > MAX) then
    bad(string.format('quantity is %.0f, version %.0f, window_start_ms %.0f, window_end_ms %.0f, ceiling %.0f; expected whole numbers '
      .. 'up to 2^53-1, the start up to 2^48-1, all but start and ceiling at least 1', quantity, version, one or 0, two or 0, three or 0))
  end
  return quantity, version, one, two, three
end

local function limits_of(claim, packed, n)
  local limits, pool, named, from = {}, nil, 0, 1
  while from <= #packed do
    local size = string.byte(packed, from + 1)
    if not size or #packed < from + 25 + size then bad('limits have ' .. #packed .. ' bytes; expected more') end
    local letter, name, one, two, three, next_from = struct.unpack('>c1Bc0I8I8I8', packed, from)
    local limit = { letter = letter, one = one, two = two, three = three, counter = false, used = 0, start = 0, ends = false }
    local fits, counts, of_pool = one <= MAX and two <= MAX and three <= MAX, true, false
    if letter == 'Q' or letter == 'q' then
      fits = fits and one <= START_MAX and two >= 1
      if letter == 'Q' then claim.kept = claim.kept + 1 end
    elseif letter == 'S' then fits = fits and one >= 1 and one <= DAY_MS -- up to which its arithmetic is exact
    elseif letter == 'A' then fits = fits and two <= WORTH_MAX
    elseif letter == 'N' then
      limit.place, limit.subject, behind = behind, name, behind + 1
      seats, counts, fits = true, false, fits and KEYS[limit.place]
    elseif letter == 'P' then
      limit.members, claim.kept = {}, claim.kept + 1
      pools, counts, fits = true, false, fits and one <= START_MAX
    else
      of_pool = true
      fits = fits and pool and one <= START_MAX and (letter == 'r' or string.find('wgWG', letter, 1, true) and two >= 1)
      if not fits then -- and it is no member
      elseif letter == 'r' then pool.rolls = true
      elseif letter == 'W' or letter == 'G' then pool.base, fits = limit, not pool.base end
      if fits then pool.members[#pool.members + 1] = limit end
    end
    if fits and counts then
      limit.counter, named = counter_of(claim.customer, name, n), named + 1
      if named > COUNTERS_MAX then bad('a claim has more than ' .. COUNTERS_MAX .. ' counters') end
    end
    if not of_pool then
      fits = fits and not (pool and not pool.base)
      pool, limits[#limits + 1] = letter == 'P' and limit, limit
    end
    if not fits then
      bad(string.format('the limit %s %s has %.0f, %.0f and %.0f; expected one of order.lua', letter, name, one, two, three))
    end
    from = next_from
  end
  if #limits < 1 or #limits > 16 or pool and not pool.base then bad(#limits .. ' limits; expected 1 to 16, a pool with its base') end
  return limits
end

for n = 1, claims do
  local at, place = 3 + (n - 1) * WORDS, 4 + (n - 1) * PLACES
  local customer = by_key[KEYS[place]]
  if not customer then
    customer = customer_at(place)
    by_key[KEYS[place]], customers[#customers + 1] = customer, customer
  end
  local quantity, version, one, two, three = numbers_of(ARGV[at + 1])
  local claim = {
    at = at, customer = customer, quantity = quantity, version = version, number = whole('number', ARGV[at + 4], 0, true),
    limits = false, kept = 0, ttl_ms = false, known_at = false, answer = false, decided = 0, shown = false, told = false,
  }
  if ARGV[at + 3] ~= '' then
    claim.event_id, claim.fingerprint, claim.remember_ms = string.match(ARGV[at + 3], '^(%S+) (%S+) (%S+)$')
    claim.remember_ms, claim.known_at, behind = whole('remember_ms', claim.remember_ms, 1, true), behind, behind + 1
    if not KEYS[claim.known_at] then bad('an idempotency key without its place; expected KEYS ' .. claim.known_at) end
  end
  if three then
    local counter = counter_of(customer, ARGV[at], n)
    claim.kept = 1
    claim.limits = { { letter = 'Q', one = one, two = two, three = three, counter = counter, used = 0, start = 0, ends = false } }
  else
    claim.limits, claim.ttl_ms = limits_of(claim, ARGV[at], n), one or false
    if one then
      holds, customer.holds = true, true
      if ARGV[at + 2] ~= '' and not string.find(ARGV[at + 2], EVENT) then bad('the event of a reservation is no claim') end
    end
  end
  asked[n] = claim
end
