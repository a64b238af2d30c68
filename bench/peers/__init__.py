"""CPU per proxied request of uaitools and its peers, side by side in one run.

    scenarios   the loads: identical and unique heads, many connections, 1 MiB, event streams
    proxies     how each peer is started; all do the same work
    rounds      every proxy in turn, round after round; medians, and ratios within a round
    report      the table, the JSON and the plot

For bench.hub:

    hubs        how each hub is started, and told to publish

The peers' own files stand beside: nginx.conf, haproxy.cfg, Caddyfile, gateway.toml, main.go and
aiohttp_proxy.py; of the hubs gorilla/, websockets_hub.py and aiohttp_hub.py. Run it with
`python -m bench.peers`; `--help` lists the flags.
"""
