"""What every command line of the project shares: exit codes, errors of one line, progress, output."""

from dfd.console.lines import note, say
from dfd.console.progress import Progress
from dfd.console.run import call, start

__all__ = ["Progress", "call", "note", "say", "start"]
