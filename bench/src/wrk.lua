-- The rest of a load's script. The locals that it uses are written in front of it:
-- head, tail, file, ready, go, width, count, first, pause_ms,
-- count_answers.

-- So few requests are made beforehand; more would not fit into Lua's memory, and
-- are put together as they are sent.
local prepared_at_most = 100000

local keys, requests
local position = first

local function text(index)
    return head .. keys:sub(index * width + 1, (index + 1) * width) .. tail
end

local function exists(path)
    local found = io.open(path)
    if found then found:close() end
    return found
end

function init()
    local input = assert(io.open(file, "rb"))
    keys = input:read("*a")
    input:close()
    assert(#keys == width * count, "the file of keys is not whole")
    if count <= prepared_at_most then
        requests = {}
        for index = 0, count - 1 do requests[index] = text(index) end
    end
    -- wrk's time begins after this, and is the same for all that begin together.
    assert(io.open(ready, "w")):close()
    while not exists(go) do os.execute("sleep 0.01") end
end

function request()
    local index = position
    position = position + 1
    if position == count then position = 0 end
    if requests then return requests[index] end
    return text(index)
end

-- Where there is a function of this name, wrk waits so many milliseconds before each request.
if pause_ms > 0 then
    function delay() return pause_ms end
end

answers = {}

-- Where there is a function of this name, wrk hands it every answer.
if count_answers then
    function response(status, _, body)
        local answer = status .. " " .. (body:match('"code":"([%w_]+)"') or "without a code")
        answers[answer] = (answers[answer] or 0) + 1
    end
end

local threads = {}

function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
    local errors = summary.errors
    local function figure(name, value) print(("figure %s %s"):format(name, value)) end
    figure("requests", ("%d"):format(summary.requests))
    figure("duration", ("%d"):format(summary.duration))
    figure("bytes", ("%d"):format(summary.bytes))
    figure("p50", latency:percentile(50))
    figure("p99", latency:percentile(99))
    figure("failures", ("%d"):format(errors.connect + errors.read + errors.write + errors.timeout))
    figure("refused", ("%d"):format(errors.status))
    for _, thread in ipairs(threads) do
        for answer, number in pairs(thread:get("answers")) do
            print(("answer %d %s"):format(number, answer))
        end
    end
end
