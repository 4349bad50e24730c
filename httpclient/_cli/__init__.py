"""The command line: ``httpclient URL``, which `httpclient.__main__` starts.

- `options`, `values`, `settings`: what may be typed, and what it comes to; `body`: what is sent
- `run`: the driver, which sends the request and hands what comes back to the others
- `network`: the client and its transport, from the options
- `output`, `text`: what is shown of a response; `download`, `resume`: what is written to files
- `recorder`, `timeline`, `secrets`: what happened and when; shown by `verbose` and `waterfall`,
  written to files by `har` and `trace_file`
- `exit_codes`: what the shell is told

Rules of this package: the decisions (`text`, `resume`, `timeline`, `har`, `trace_file`, `secrets`,
`exit_codes`) are pure functions. What a server sends is data: it never reaches a terminal as it
is, nor names a file. Needs the extra ``cli``.
"""

from __future__ import annotations
