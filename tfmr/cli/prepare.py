"""`tfmr prepare CONFIG [--section.field VALUE ...]`: tokenises a corpus."""


def main(arguments: list[str]) -> None:
    """Prepares the corpus of a config, and prints its folder and contents."""
    from tfmr.cli.config_file import parse_config

    config = parse_config(arguments, "tfmr prepare")
    from tfmr.data.corpus import prepare_corpus

    print(prepare_corpus(config.data).describe(config.data))
