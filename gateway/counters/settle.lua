-- Ends a reservation or keeps it longer, once, whoever asks again; or ends what is due of a customer.
--
-- KEYS     1 head, 2 usage, 3 due, 4 {l17}:use:<customer>, 5 {l17}:hold:<customer>, 6 {l17}:dues:<customer>: as consume.lua
-- ARGV     1 line, 2 gateway: as footing.lua
--          3 number  names the call, so that its own repeat is told from another's
--          4 action  commit, release, extend or sweep
--          5 amount  of a commit what was really used; of extend for how many ms from now; of sweep how many at most, 1 … 64
--          6 id      of the reservation: of the event that made it; empty for sweep
-- RULE     Whether a reservation is over is decided by TIME. What was not used is given back to the counters it came from, a
--          slot whole; what was used beyond what was held, and what is committed late, counts on the base, over any ceiling.
-- RETURNS  FENCED or UNREGISTERED, and nothing was done; to sweep now_ms and how many have ended (8 bytes each); else as
--          holds.lua packs it now_ms, a letter, how it has ended (c committed, r released, x it was due, l late), what was
--          used, when it ended or is due, and its counters: name, used, start of the window; then the event's stream id.
--          E ended now · L committed late now · X extended · B it had ended before: the first answer, by another letter ·
--          U unknown, or forgotten
-- GUARANTEE  All is validated and read before the first write; XADD is the first write.

if #KEYS ~= 6 or #ARGV ~= 6 then error({ err = 'BADARG ' .. #KEYS .. ' keys and ' .. #ARGV .. ' arguments; expected six of each' }) end

-- include footing.lua
-- include counters.lua
local held = {}
-- include holds.lua

local LEAST, MOST = { commit = 0, release = 0, extend = 1, sweep = 1 }, { commit = MAX, release = 0, extend = 86400000, sweep = 64 }
local action, id, by = ARGV[4], ARGV[6], ARGV[2] .. '-' .. whole('number', ARGV[3], 1, true)
if not LEAST[action] then bad('action is ' .. action .. '; expected commit, release, extend or sweep') end
local amount = whole('amount', ARGV[5], LEAST[action], true)
if amount > MOST[action] then bad('amount is ' .. ARGV[5] .. '; expected at most ' .. MOST[action]) end
if (id == '') ~= (action == 'sweep') then bad('id is ' .. id .. '; expected that of a reservation, and none to sweep') end

local customer = customer_at(4)
read(customer)
held.look(customer, action == 'sweep' and amount or 4)
local one = action ~= 'sweep' and held.find(customer, id)

local answer, event_id, event, told
if action == 'sweep' then
  answer = struct.pack('>I8I8', now, #customer.ending)
elseif not one then
  answer = struct.pack('>I8c1c1I8I8B', now, 'U', 'u', 0, 0, 0)
elseif one.how == 'o' and action == 'extend' then
  one.due = math.max(one.due, now + amount)
  customer.ends, customer.written[id] = one.due, one
  answer = held.answer(customer, 'X', 'o', 0, one.due, one)
elseif one.how == 'o' or one.how == 'x' and action == 'commit' then
  local late = one.how == 'x'
  if one.event ~= '' then event_id, event = id .. (late and '.late' or '.end'), held.claim(one.event, amount, late and 3 or 2) end
  told = held.settle(customer, one, amount, late)
  local how = late and 'l' or action == 'commit' and 'c' or 'r'
  answer = held.answer(customer, late and 'L' or 'E', how, amount, now, one)
  one.how, one.by, one.answer, customer.written[id] = how, by, answer, one
else
  answer = one.by == by and one.answer or string.sub(one.answer, 1, 8) .. 'B' .. string.sub(one.answer, 10)
end

local stream_id = ''
held.write_ends(customer)
if event then
  stream_id = redis.call('XADD', KEYS[2], '*', 'id', event_id, 'at', now, 'claim', event, 'moves', told)
end
if next(customer.written) or #customer.forgotten > 0 then write(customer, held.write(customer)) end
return answer .. stream_id
