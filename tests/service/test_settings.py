import pytest
from pydantic import ValidationError
from pydantic_settings import CliApp

from service.settings import Settings, unknown_variables


def parse(*arguments: str) -> Settings:
    return CliApp.run(Settings, cli_args=list(arguments))


def test_a_flag_goes_before_a_variable_and_that_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (parse().port, parse().host) == (8000, "127.0.0.1")
    monkeypatch.setenv("VAE_PORT", "9000")
    monkeypatch.setenv("VAE_HOST", "0.0.0.0")
    settings = parse("--port", "9001")
    assert (settings.port, settings.host) == (9001, "0.0.0.0")


def test_auto_leaves_a_number_to_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAE_WORKERS", "auto")
    settings = parse("--threads", "auto")
    assert (settings.workers, settings.threads) == (0, 0)


def test_keys_are_a_list_and_stay_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAE_API_KEYS", '["k-one", "k-two"]')
    settings = parse()
    assert [key.get_secret_value() for key in settings.api_keys] == ["k-one", "k-two"]
    assert "k-one" not in repr(settings)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--device", "tpu"),
        ("--api-keys", ""),
        ("--api-keys", "sha256:abc"),
        ("--tls-cert", "cert.pem"),
        ("--tls-key", "key.pem"),
        ("--cors-origins", "example.org"),
        ("--cors-origins", "https://example.org/path"),
        ("--port", "70000"),
        ("--threads", "-1"),
        ("--max-request-rows", "10", "--max-queue-rows", "9"),
    ],
)
def test_what_cannot_work_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        parse(*arguments)


def test_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.description is not None
        assert field.description.split(";")[0].split("(")[0][:30] in text


def test_variables_that_are_no_settings_are_named() -> None:
    environment = ["VAE_PORT", "VAE_PROT", "VAE_TRAIN_EPOCHS", "PATH", "VAE_MAX_BATCH_ROWS"]
    assert unknown_variables(environment) == ["VAE_PROT"]
