-- The method, the length of the body and whether requests are varied come after `--`; what wrk has seen goes out as one
-- line of JSON. wrk builds the request once, after this; nothing of it runs per request unless they are varied.

function init(arguments)
   local length = tonumber(arguments[2])
   wrk.method = arguments[1]
   if length > 0 then
      wrk.body = string.rep("x", length)
   end
   if arguments[3] == "varied" then
      local number = 0
      request = function()
         number = number + 1
         return wrk.format(nil, wrk.path .. "?n=" .. number)
      end
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p99": %d, "longest": %d,'
         .. ' "connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}\n',
      summary.requests, summary.duration, summary.bytes,
      latency:percentile(50), latency:percentile(99), latency.max,
      errors.connect, errors.read, errors.write, errors.timeout, errors.status
   ))
end
