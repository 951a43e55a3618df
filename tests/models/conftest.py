import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Networks this small gain nothing from threads; on a busy machine two made these tests ten times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
