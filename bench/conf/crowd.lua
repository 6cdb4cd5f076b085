-- Another token in each request: from the file that is the first argument, from
-- the line on that is the second.
local tokens, at, head, tail = {}, 0, '', ''

function init(args)
	for token in io.lines(args[1]) do tokens[#tokens + 1] = token end
	at = tonumber(args[2]) % #tokens
	local whole = wrk.format('GET', nil, { Authorization = 'Bearer @' })
	head, tail = whole:match('^(.*)@(.*)$')
end

function request()
	at = at % #tokens + 1
	return head .. tokens[at] .. tail
end
