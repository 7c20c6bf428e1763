"""The subcommands of `spikeloom`, one file each; `sw.cli` lists them."""
