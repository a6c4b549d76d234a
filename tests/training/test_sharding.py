"""Meshes of several slices."""

import jax
import numpy as np
import pytest

from tfmr.config import MeshConfig
from tfmr.errors import InputError
from tfmr.training.sharding import make_mesh


class Device:
    """A device of a slice, to all that a mesh asks of it."""

    platform = "cpu"
    device_kind = "cpu"

    def __init__(self, id, slice_index):
        self.id = id
        self.process_index = slice_index
        self.slice_index = slice_index


def devices_of(num_slices, each):
    # Not in the order of the slices.
    return [Device(number, number % num_slices) for number in range(num_slices * each)]


@pytest.mark.parametrize(
    ("num_slices", "config", "shape"),
    [
        (2, MeshConfig(), (8, 1, 1)),
        (2, MeshConfig(fsdp=4), (2, 4, 1)),
        (2, MeshConfig(fsdp=2, tensor=2), (2, 2, 2)),
        (4, MeshConfig(tensor=2), (4, 1, 2)),
    ],
)
def test_only_the_data_axis_crosses_slices(num_slices, config, shape):
    mesh = make_mesh(config, devices_of(num_slices, 8 // num_slices))
    assert mesh.devices.shape == shape
    slices = np.vectorize(lambda device: device.slice_index)(mesh.devices)
    # All of a slice's devices stand together: an equal share of the data axis each, and all of the others.
    for number, part in enumerate(np.split(slices, num_slices)):
        np.testing.assert_array_equal(part, number)
    assert len({device.id for device in mesh.devices.flat}) == 8


def test_an_axis_that_would_cross_slices_is_refused():
    with pytest.raises(InputError, match=r"mesh.data = 3: must be a multiple of 2, the number of TPU slices"):
        make_mesh(MeshConfig(data=3, fsdp=2), devices_of(2, 3))


def test_a_mesh_of_some_devices():
    mesh = make_mesh(MeshConfig(fsdp=2), jax.devices()[:4])
    assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "tensor": 1}
    with pytest.raises(InputError, match="does not fit 3 devices"):
        make_mesh(MeshConfig(fsdp=2), jax.devices()[:3])
