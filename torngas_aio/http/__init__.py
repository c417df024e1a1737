"""The HTTP/1.1 server and the request object that every server backend yields.

    server.py           HTTPServer: options, listening sockets, graceful stop
      accepting.py        accepting connections   unix_sockets.py  sockets by path   tls.py  the SSL context
    server_state.py     state shared by a server's connections: limits, the deadline sweep, running requests
    protocol.py         one connection: bytes in, request heads out, deadlines, keep-alive
    flow_control.py     its transport: output, back-pressure, clients that do not read
      request_parser.py   parser of a request head       headers.py  its header fields and cookies
      body.py             an incoming request body       codings.py  chunked, gzip and deflate decoding
      forms.py            a form's arguments and files   spool.py    a body in a temporary file
      uploads.py          a form's files: safe names, parsing in a thread
      target.py           request target and Host, checked the same way on every server
    request.py          the request             request_task.py  the task that serves it
    proxies.py          the client's address, also behind trusted proxies
    limits.py           limits on requests: sizes, counts, seconds
    exchange.py         one request's response: framing and back-pressure
      response.py         status lines, Date, header safety
    base.py             contracts of a body, an exchange, and a protocol that takes over a connection
    application.py      the contract of an application that needs no Tornado delegate
    adapters.py         passing a request to an application: directly, or through Tornado's delegates
    tornado_adapter.py  the same requests from `tornado.httpserver`
      tornado_body.py     their bodies       tornado_exchange.py  their responses
    stream.py           the result of `detach()`: a Tornado IOStream over the transport
    websocket.py        a WebSocket on the transport: messages, pings, back-pressure, the close handshake
      frames.py           messages from bytes, without I/O        deflate.py  permessage-deflate
      task_body.py        a task that a callback may continue
    supervisor.py       the parent process: worker processes over shared sockets
    worker_slot.py      a worker, in the parent process
    worker_totals.py    counters summed over all workers
    worker.py           a worker, in its own process
    status_socket.py    the parent's status, for `torngas-aio ps`
    systemd.py          notifications and socket activation

Begin with `base.py`, then `protocol.HTTPProtocol.data_received`.
"""
