-- The beginning of every script that counts: whether the gateway that calls may count here, and what time it is.
--
-- KEYS     1 head    {l17}:head   hash: `line`; for each gateway the highest number it has counted here
-- ARGV     1 line    what the gateway holds to be the line of this bucket
--          2 gateway its id
-- RETURNS  FENCED (another line) or UNREGISTERED (unknown gateway), and the script ends; else nothing, and it goes on with
--          `now` in ms, `now_us`, and `head`: the line, and the highest number that this gateway has counted
-- GUARANTEE  Nothing is written. Redis's clock is looked at once.

local MAX = 9007199254740991 -- 2^53-1: above it a Lua number is no longer exact
local START_MAX = 281474976710655 -- 2^48-1: what six bytes hold
local GRACE_MS = 3600000 -- how long counters outlive their window

local function whole(name, text, least, plain)
  local number = tonumber(text)
  if not number or number < least or number > MAX or number % 1 ~= 0 or plain and text ~= '0' and not string.find(text, '^[1-9]%d*$') then
    error({ err = 'BADARG ' .. name .. ' is ' .. tostring(text) .. '; expected a whole number from ' .. least .. ' to 2^53-1' })
  end
  return number
end

local head = redis.call('HMGET', KEYS[1], 'line', ARGV[2])
if head[1] ~= ARGV[1] then return 'FENCED' end
if not head[2] then return 'UNREGISTERED' end
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
