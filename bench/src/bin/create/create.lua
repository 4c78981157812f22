-- Asks for keys of a thousand users at random. The local service_key is written in
-- front of it.

local body = '{"name":"key 00000000","permissions":["READ_GRAPH"]}'
local requests = {}

function init()
    math.randomseed(os.time())
    for user = 0, 999 do
        requests[user] = wrk.format("POST", "/api/api-keys", {
            ["Authorization"] = "Bearer " .. service_key,
            ["Content-Type"] = "application/json",
            ["Keywright-User"] = string.format("user-%04d", user),
        }, body)
    end
end

function request()
    return requests[math.random(0, 999)]
end

function done(summary)
    local errors = summary.errors
    local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    print(string.format("answers, failures, microseconds: %d %d %d", summary.requests, failures, summary.duration))
end
