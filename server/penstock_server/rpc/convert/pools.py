"""Pools and what is taken of them: messages and domain values."""

from __future__ import annotations

from penstock_api.internal.v1 import dispatch_pb2
from penstock_api.v1 import pool_pb2 as pb
from penstock_ir.slots import Demand

from penstock_server.domain.dispatch import SlotAnswer, SlotAsk, SlotState
from penstock_server.domain.pools import Pool, PoolKey, SlotUse
from penstock_server.rpc.convert.common import timestamp
from penstock_server.services.pools import PoolState


def from_proto(message: pb.Pool) -> Pool:
    slots = message.slots if message.HasField("slots") else None
    return Pool(PoolKey(message.namespace, message.name), slots, message.weight or 1)


def to_proto(state: PoolState) -> pb.Pool:
    pool = state.pool
    return pb.Pool(
        namespace=pool.key.namespace,
        name=pool.key.name,
        slots=pool.slots,
        weight=pool.weight,
        taken=state.taken,
        waiting=state.waiting,
    )


def use_to_proto(use: SlotUse) -> pb.SlotRequest:
    message = pb.SlotRequest(**{name: value for name, value in use._asdict().items() if name != "since"})
    message.since.CopyFrom(timestamp(use.since))
    return message


def ask_from_proto(message: dispatch_pb2.TakeSlotsRequest.Attempt) -> SlotAsk:
    demands = tuple(Demand(one.pool, one.slots) for one in message.demands)
    key = (message.run_id, message.fence, message.path, message.attempt)
    return SlotAsk(*key, demands, message.adopt, message.gang, message.log_length)


def answer_to_proto(answer: SlotAnswer) -> dispatch_pb2.TakeSlotsResponse.Answer:
    known = f"STATE_{answer.state.name}" if answer.state is not SlotState.UNKNOWN else None
    return dispatch_pb2.TakeSlotsResponse.Answer(state=known, text=answer.text)
