-- Part of consume.lua: what quotas, sliding windows and GCRAs say to a quantity, what they then count, and what is told of it.
--
-- KEYS     none of its own: counters are read before, and written behind
-- ARGV     none of its own: limits are as order.lua took them apart
-- RETURNS  nothing: this defines `rule`, `count`, `shown` and `list_moves`, which ask pools.lua where a limit is of there
-- GUARANTEE  Nothing is read from Redis or written there; only `count` changes a counter.

-- Returns whether a limit has room for a quantity, and whether TIME lies in its window; what it finds out is kept with it.
local function rule(limit, quantity)
  local letter, counter, inside = limit.letter, limit.counter, true
  if letter == 'P' or letter == 'N' then return kinds.rule(limit, quantity) end
  if letter == 'A' then
    if counter.start >= 0 then bad('the counter ' .. counter.name .. ' is no arrival') end
    limit.used = math.max(counter.used, now_us)
    return limit.used + limit.one - now_us <= limit.two, true
  end
  if counter.start == ARRIVAL then bad('the counter ' .. counter.name .. ' has no window') end
  local start, ends, before = limit.one, limit.two, 0
  if letter == 'S' then
    start = now - now % limit.one
    ends = start + 2 * limit.one
    if counter.start == start - limit.one then before = counter.used end
  elseif start == 0 then
    start = now - now % ends
    ends = start + ends
  else
    inside = now >= start and now < ends
  end
  if counter.start >= start then -- also when TIME has stepped back
    limit.used, limit.start, limit.ends = counter.used, counter.start, false
  else
    limit.used, limit.start, limit.ends = 0, start, ends
  end
  if letter ~= 'S' then return limit.used + quantity <= limit.three, inside end
  -- what the window before used, weighed by the share of it that is in reach: in two parts, each of them exact
  if not limit.ends then
    if #counter.rest ~= 7 then bad('the counter ' .. counter.name .. ' is no sliding window') end
    before = struct.unpack('>I7', counter.rest)
  end
  local reach, odd = limit.one - math.max(0, now - limit.start), before % limit.one
  limit.three = (before - odd) / limit.one * reach + math.floor(odd * reach / limit.one)
  return limit.three + limit.used + quantity <= limit.two, true
end

local function count(limit, customer, quantity)
  local letter, counter, ends = limit.letter, limit.counter, limit.ends
  if letter == 'P' or letter == 'N' then return kinds.count(limit, customer) end
  if letter == 'A' then -- the hash lives longer whenever the arrival comes into another half hour
    local half_us, arrival = GRACE_MS * 500, limit.used + limit.one
    if counter.start == NONE or math.floor(counter.used / half_us) ~= math.floor(arrival / half_us) then
      ends = math.ceil(arrival / 1000)
    end
    limit.used = arrival
    return change(customer, counter, arrival, ARRIVAL, ends)
  end
  if letter == 'S' and ends then
    counter.rest = struct.pack('>I7', counter.start == limit.start - limit.one and counter.used or 0)
  elseif ends then
    counter.rest = ''
  end
  limit.used = limit.used + quantity
  change(customer, counter, limit.used, limit.start, ends)
end

local function shown(limits)
  local numbers, n = {}, 0
  for place = 1, #limits do
    local limit = limits[place]
    local letter = limit.letter
    if letter == 'P' or letter == 'N' then
      n = kinds.show(limit, numbers, n)
    else
      numbers[n + 1], numbers[n + 2] = limit.used, limit.start
      if letter == 'S' then numbers[n + 1] = limit.used + limit.three
      elseif letter == 'A' then numbers[n + 1], numbers[n + 2] = limit.used - now_us, 0 end
      n = n + 2
    end
  end
  return struct.pack('>B' .. string.rep('I8', n), n, unpack(numbers))
end

-- Lists what a claim moves, by limit and in burn order, and tells it as an event does: not, where it is the claim's
-- quantity on the first limit's counter, or its base, in the window that the order names.
local function list_moves(claim)
  local moves, told, plain = {}, {}, not claim.ttl_ms
  for place, limit in ipairs(claim.limits) do
    local first = true
    for _, one in ipairs(limit.members or limit.letter == 'Q' and { limit } or {}) do
      local amount, base = limit.members and one.taken or claim.quantity, not limit.members or one == limit.base
      if amount > 0 then
        told[#told + 1] = string.format('%s %.0f %.0f', one.counter.name, one.start, amount)
        plain = plain and place == 1 and base and one.start == (one.one > 0 and one.one or now - now % one.two)
      end
      if amount > 0 or base then
        moves[#moves + 1] = { first = first, base = base, name = one.counter.name, start = one.start, amount = amount }
        first = false
      end
    end
  end
  claim.moves, claim.told = moves, not (plain and #told == 1) and table.concat(told, ';')
end
