-- The least that a counted use can cost: read a counter, raise it below a limit, write the same event down.
--
-- KEYS     1 counter   {l17}:bare:<customer>   string
--          2 usage     {l17}:bare-usage        stream of usage events
-- ARGV     1 quantity  1 … 2^53-1
--          2 limit     0 … 2^53-1
--          3 id        of the event
--          4 at        in ms; the caller's clock
--          5 claim     the packed part of the event
-- RETURNS  {1 when it was counted, what is used}
-- GUARANTEE  None: it is what consume.lua is compared with.

local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used + ARGV[1] > tonumber(ARGV[2]) then return { 0, used } end
redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], '*', 'id', ARGV[3], 'at', ARGV[4], 'claim', ARGV[5])
return { 1, used + ARGV[1] }
