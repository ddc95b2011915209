"""Reading TensorBoard's event files back."""

import struct

from tensorboardX.proto.event_pb2 import Event


def read_events(path):
    """The events of a TensorBoard file: records of a length, its checksum, data, its checksum."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield Event.FromString(data[at + 12 : at + 12 + length])
        at += length + 16
