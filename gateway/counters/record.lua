-- Moves counters as one row of the outbox says, in the windows that are open, each row once and in order; never denies.
--
-- KEYS     1 head    {l17}:head             hash: `line`; `outbox`, the number of the last row that was applied here
--          2 use     {l17}:use:<customer>   hash: <counter> seven bytes used, six bytes its window's start, and perhaps
--                    more; .v the document's version
-- ARGV     1 line    what the office holds to be the line of this bucket
--          2 number  of the row: one more than the last
--          3 version of the customer's document, for a hash that is not there yet
--          4 … four for each move: counter · window_start_ms · window_end_ms, 0 where no window may be opened · amount
-- RULE     A move goes into its own window alone: what is stored of a later one stays, and what is stored of an earlier
--          one gives way only to a move that says when its window ends, and that is to come. Nothing goes below 0.
-- RETURNS  FENCED (another line), BEFORE (this row was applied) or GAP (rows before it were not), and nothing was moved;
--          else 9 bytes for each move: a letter, and what could not be given back. M moved · O moved, in a window that it
--          opened · C its window is closed, or not there · S moved, or not there, and too little to give back from
-- GUARANTEE  All is validated and read before the first write, which is the row's number; what fails, fails with nothing
--          changed.

local MAX = 9007199254740991 -- 2^53-1: above it a Lua number is no longer exact
local GRACE_MS = 3600000 -- how long counters outlive their window
local WORDS = 4

local function whole(name, text, least)
  local number = tonumber(text)
  if not number or number < least or number > MAX or number % 1 ~= 0 then
    error({ err = 'BADARG ' .. name .. ' is ' .. tostring(text) .. '; expected a whole number from ' .. least .. ' to 2^53-1' })
  end
  return number
end

local moves = (#ARGV - 3) / WORDS
if moves < 1 or moves % 1 ~= 0 or #KEYS ~= 2 then
  error({ err = 'BADARG ' .. #KEYS .. ' keys and ' .. #ARGV .. ' arguments; expected two, and three and four for each move' })
end
local number = whole('number', ARGV[2], 1)
whole('version', ARGV[3], 1)

local head = redis.call('HMGET', KEYS[1], 'line', 'outbox')
if head[1] ~= ARGV[1] then return 'FENCED' end
local last = whole('the last number', head[2] or 0, 0)
if number <= last then return 'BEFORE' end
if number > last + 1 then return 'GAP' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local newest = redis.call('HGET', KEYS[2], '.v')

local counters, opened, answers = {}, nil, ''
for at = 4, #ARGV, WORDS do
  local counter, starts, ends = ARGV[at], whole('window_start_ms', ARGV[at + 1], 1), whole('window_end_ms', ARGV[at + 2], 0)
  local amount = whole('amount', ARGV[at + 3], -MAX)

  local held = counters[counter]
  if not held then
    local value = redis.call('HGET', KEYS[2], counter)
    held = { began = 0, used = 0, rest = '' }
    if value then
      if #value < 13 then error({ err = 'BADARG the counter has ' .. #value .. ' bytes; expected 13 or more' }) end
      held.used, held.began = struct.unpack('>I7I6', value)
      held.rest = string.sub(value, 14)
    end
    counters[counter] = held
  end

  local answer, missing = 'C', 0
  if held.began == starts then
    answer, held.moved = 'M', true
    held.used = math.min(MAX, held.used + amount)
    if held.used < 0 then answer, missing, held.used = 'S', -held.used, 0 end
  elseif held.began < starts and amount > 0 and ends > now then
    answer, held.moved = 'O', true
    held.used, held.began, held.rest = amount, starts, ''
    opened = math.max(opened or 0, ends)
  elseif held.began < starts and held.began > 0 and amount < 0 then
    answer, missing = 'S', -amount
  end
  answers = answers .. struct.pack('>c1I8', answer, missing)
end

redis.call('HSET', KEYS[1], 'outbox', ARGV[2])
for counter, held in pairs(counters) do
  if held.moved then redis.call('HSET', KEYS[2], counter, struct.pack('>I7I6', held.used, held.began) .. held.rest) end
end
if opened then -- the hash lives as long as its longest window
  if not newest then redis.call('HSET', KEYS[2], '.v', ARGV[3]) end
  if opened == MAX then
    redis.call('PERSIST', KEYS[2])
  elseif newest then
    redis.call('PEXPIREAT', KEYS[2], opened + GRACE_MS, 'GT')
  else
    redis.call('PEXPIREAT', KEYS[2], opened + GRACE_MS)
  end
end
return answers
