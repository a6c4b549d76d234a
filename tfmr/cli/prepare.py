"""`tfmr prepare CONFIG [--section.field VALUE ...]`: tokenises a corpus."""


def main(arguments: list[str]) -> None:
    """Prepares the corpus of a config, and prints its folder and contents."""
    from tfmr.cli.config_file import parse_config

    config = parse_config(arguments, "tfmr prepare")
    from tfmr.training.task import task_for

    task = task_for(config)
    print(task.describe(task.prepare(config.data), config.data))
