"""Which endpoint takes the next call: one pure class for each policy.

    policy           what every policy can do, and the policies by name
    availability     which endpoints may take a call at all: health, limits, backups, panic
    draw             random choice by weight
    round_robin      in turn, interleaved by weight
    random           at random by weight
    least_requests   of two at random the one with less in flight
    ewma             of two at random the one that answers sooner
    consistent_hash  by a key, with bounded load; its `ring`

A policy asks `availability` only while something is out of order; with all endpoints healthy it
decides by what it laid out at the last `refresh`. Nothing here takes time or draws numbers by
itself: `now` and the source of randomness are arguments.
"""

from uaitools.traffic.balancing.consistent_hash import ConsistentHash
from uaitools.traffic.balancing.ewma import Ewma
from uaitools.traffic.balancing.least_requests import LeastRequests
from uaitools.traffic.balancing.policy import BALANCERS, Balancer, make_balancer
from uaitools.traffic.balancing.random import Random
from uaitools.traffic.balancing.round_robin import RoundRobin

__all__ = [
    "BALANCERS",
    "Balancer",
    "ConsistentHash",
    "Ewma",
    "LeastRequests",
    "Random",
    "RoundRobin",
    "make_balancer",
]
