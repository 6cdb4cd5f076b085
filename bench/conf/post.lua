-- One form, sent again and again: the first argument.
function init(args)
	wrk.method, wrk.body = 'POST', args[1]
	wrk.headers['Content-Type'] = 'application/x-www-form-urlencoded'
end
