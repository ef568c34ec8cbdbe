-- What wrk sends: the start of a run, with the token of the environment.
wrk.method = "POST"
wrk.body = "{}"
wrk.headers["content-type"] = "application/json"
wrk.headers["token"] = os.getenv("TOKEN")
