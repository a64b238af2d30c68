"""Active checks: the registry asks instances how they are.

A check's way, file by file:

    schedule    whose check is due when, and how first checks are spread (pure)
    checker     runs what is due in a bounded pool, tells what a check says when that changes
    following   which instances this registry checks, and what is found as events
    ask         one check of one instance, within its time limit
    http, tcp, websocket   the kinds of checks
    target      where a check goes: the instance's own address and port, a valid path (pure)
    session     what checks go out with: no cookies, no proxy, no connection kept
    failure     what went wrong, in plain words
    answer      what one check has found (pure)
    finding     what all of them together say: rise and fall (pure)

A registration makes the registry connect to an address of the registrant's choice. That is what
it is for, so who may register has to be trusted with that (scope `registry:write`), and where the
registry can connect to is for the network to say: a firewall that lets it reach the fleet, and
neither cloud metadata (169.254.169.254) nor administrative ports. What is done here: the request
is a fixed one (a GET without credentials), redirects are not followed, the path cannot leave the
address, and nothing of an answer but its status is ever shown.
"""
