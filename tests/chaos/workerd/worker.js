// Takes the request's body and answers from a binding.
export default {
  async fetch(request, env) {
    await request.json();
    return Response.json({ status: true, result: env.PAUSE_MS });
  },
};
