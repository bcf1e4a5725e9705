import inspect
from typing import Any

import pytest

import vae_client
from vae_client import _exceptions


def test_the_api_is_what_init_lists() -> None:
    public = {
        name
        for name, value in vars(vae_client).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(vae_client.__all__)
    assert sorted(vae_client.__all__) == vae_client.__all__


def test_both_clients_have_the_same_calls() -> None:
    def calls(client: type[Any]) -> dict[str, list[inspect.Parameter]]:
        return {
            name: list(inspect.signature(method).parameters.values())
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    blocking, awaited = calls(vae_client.Client), calls(vae_client.AsyncClient)
    blocking["aclose"] = blocking.pop("close")
    assert blocking == awaited
    assert all(inspect.iscoroutinefunction(getattr(vae_client.AsyncClient, n)) for n in awaited)


@pytest.mark.parametrize("name", [n for n in vae_client.__all__ if n.endswith("Error")])
def test_every_error_is_one_of_ours(name: str) -> None:
    assert issubclass(getattr(vae_client, name), vae_client.VAEError)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [
        word
        for line in (_exceptions.__doc__ or "").splitlines()
        for word in line.lstrip("│├└─ ").split()[:1]
        if word in vae_client.__all__
    ]

    def walk(kind: type[Exception]) -> list[str]:
        return [kind.__name__, *(n for child in kind.__subclasses__() for n in walk(child))]

    assert drawn == walk(vae_client.VAEError)
