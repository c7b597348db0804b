#!/bin/sh
# One machine, two ranks, no launcher: selm starts the second itself.
bin/selm train recipes/quickstart.yaml --ranks 2
