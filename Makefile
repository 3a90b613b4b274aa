# 两条命令：make run（装好并启动）、make test（装好并测试）。 Two commands: make run, make test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup setup-dev run test check lint types bench quality lock env minipack clean

run: setup
	$(BIN)/python asr_api_server.py

test: setup-dev
	$(BIN)/python -m pytest

check: lint types

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup-dev
	$(BIN)/mypy xingji

setup: .venv/.installed .venv/.graphs .venv/.vad-web

setup-dev: .venv/.installed-dev .venv/.graphs .venv/.vad-web

.venv/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "需要 Python 3.11–3.13（needs Python 3.11–3.13）")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# How many sessions this machine holds, with models of official size and random weights: a few minutes, and a few more the
# first time, when the models are made. BENCH="--seconds 60 --rounds 3" looks more closely.
# FUNASR_SERVER=…/funasr_wss_server.py FUNASR_PYTHON=…/python puts FunASR's own server beside it: see tools.bench --help.
bench: setup-dev
	$(BIN)/python -m tools.bench --models .build/fullsize --make-models --seconds 20 --rounds 1 --out .build/bench.md --json .build/bench.json \
	  --curve .build/bench.svg $(if $(FUNASR_SERVER),--baseline funasr --funasr-server "$(FUNASR_SERVER)" \
	  --funasr-python "$(FUNASR_PYTHON)") $(BENCH)

# How right the texts are, stage by stage, on recordings whose text is known; espeak-ng adds more of them.
# QUALITY="data_aishell --models official --fail-above 5" measures the official models: see tools.quality --help.
quality: setup-dev
	$(BIN)/python -m tools.quality --out .build/quality/report.md --json .build/quality/report.json \
	  --picture .build/quality/report.svg $(QUALITY)

# The embedded models as graphs for the CPU: with them a server is there in a second, without torch.
.venv/.graphs: .venv/.installed xingji/minipack/manifest.json $(addprefix xingji/engines/,export.py graphs.py layers.py networks.py quantise.py)
	XINGJI_MODELS=minipack $(BIN)/python download_models.py --optimize float32 --clips .venv/no-clips
	touch $@

# What the demo of VAD in the browser loads. Where npm or the registry is missing it says so, and all else goes on.
.venv/.vad-web: .venv/.installed clients/web/vad-web.json
	if $(BIN)/python -m tools.vad_web; then touch $@; fi

# Write requirements*.txt from pyproject.toml, every package pinned.
lock: setup
	$(BIN)/python -m tools.lock

# Write .env.example from the settings.
env: setup
	$(BIN)/python -m tools.env_example

# Train the embedded models again (over an hour; needs espeak-ng).
minipack: setup-dev
	$(BIN)/python -m training.minipack

clean:
	rm -rf .venv .build clients/web/vad-web
