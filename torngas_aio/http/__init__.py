"""The HTTP/1.1 server and the request object that every server backend yields.

    server.py           HTTPServer: options, listening sockets, graceful stop
      accepting.py        taking connections   unix_sockets.py  sockets by path      tls.py  the SSL context
    server_state.py     what the connections of one server share: limits, the sweep of deadlines, running requests
    protocol.py         one connection: bytes in, request heads out, deadlines, keep-alive
    flow_control.py     its transport: what goes out, back-pressure, clients that do not read
      request_parser.py   a request head, checked and parsed      headers.py  its header fields and cookies
      body.py             a request body on its way in            codings.py  chunked, gzip and deflate
      forms.py            a form's arguments and files            spool.py    a body in a temporary file
      uploads.py          files of a form: safe names, off the loop
      target.py           request target and Host, checked alike by every server
    request.py          the request             request_task.py  the task that answers it
    proxies.py          the client's address, also behind trusted proxies
    limits.py           sizes, counts and seconds that a client may use      errors.py  errors of a request's body
    exchange.py         one request's response: framing and back-pressure
      response.py         status lines, Date, header safety
    base.py             the contracts of a body, an exchange, and what takes a connection over
    application.py      what an application is to servers without Tornado's delegates
    adapters.py         how a request reaches an application: directly, or through Tornado's delegates
    tornado_adapter.py  the same requests from `tornado.httpserver`
      tornado_body.py     their bodies       tornado_exchange.py  their responses
    stream.py           what `detach()` gives: a Tornado IOStream over the transport
    websocket.py        a WebSocket on the transport: messages, pings, back-pressure, the close handshake
      frames.py           messages from bytes, without I/O        deflate.py  permessage-deflate
      task_body.py        a task that a callback may carry on
    supervisor.py       worker processes over shared sockets, and the parent that keeps them
    worker_slot.py      a worker, as its parent sees it
    worker_totals.py    what all workers have counted
    worker.py           a worker, as it sees itself
    status_socket.py    what the parent tells `torngas-aio ps`
    systemd.py          notifications and socket activation

Begin with `base.py`, then `protocol.HTTPProtocol.data_received`.
"""
