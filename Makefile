# Every rule of this project is a verb here; CI runs the same ones. .venv/.installed is the environment, with uv where it is on PATH.
PYTHON ?= python3
BIN := .venv/bin
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) -p signet -f deploy/compose.yaml
.DEFAULT_GOAL := help
.PHONY: help demo serve train records records-check test up down compose-test clients conformance others fuzz bench-quick bench soak overload fairness k8s-test k8s-rules check protos reference dashboards released constraints clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed ## Train what models/ lacks, serve it, ask it, print labelled answers
	@$(BIN)/python deploy/demo.py

serve: .venv/.installed ## Serve models/ on the default ports until Ctrl-C (ARGS=... for more flags)
	$(BIN)/signet-serve --models models $(ARGS)

train: .venv/.installed ## Train a task into models/: make train TASK=pima ARGS="--seed 7"
	$(if $(TASK),,$(error make train needs a task: make train TASK=pima, shapes or fashion_mnist))
	$(BIN)/signet-train $(TASK) --out models $(ARGS)

records: .venv/.installed ## Train and record the long recipes, one after the other: hours; stopped, it goes on (ARGS="--out DIR")
	@$(BIN)/python -m training.records $(ARGS)

records-check: .venv/.installed ## Verify and measure the packages of models/fashion_mnist: minutes (ARGS=--record for README's table)
	@$(BIN)/python -m tests.load.records $(ARGS)

# Two processes: TensorFlow brings its own copies of messages that TensorFlow Serving's protocol is made of.
test: .venv/.installed ## Run the unit and contract tests (those of alerts and dashboards need Debian's `prometheus`)
	$(BIN)/python -m pytest tests/unit/training
	$(BIN)/python -m pytest --ignore=tests/unit/training

up: ## Start the deployment of deploy/compose.yaml: trains what is missing, serves on 127.0.0.1:8500 (SERVICES=... for some)
	REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) $(COMPOSE) up -d --build $(SERVICES)

down: ## Stop that deployment; what it trained stays (ARGS=--volumes to forget it)
	$(COMPOSE) down $(ARGS)

compose-test: .venv/.installed ## Run deploy/compose.yaml from nothing, ask, restart, kill, remove it: 15 minutes (ARGS="--transport native")
	@$(BIN)/python -m tests.compose.run $(ARGS)

clients: .venv/.installed ## Run other people's clients, each in an environment of its own, against a running server
	@$(BIN)/python -m tests.clients.run $(ARGS)

conformance: .venv/.installed ## Check this server, KServe's and MLServer's against the Open Inference Protocol: README's table
	@$(BIN)/python -m tests.clients.peers.columns $(ARGS)

others: .venv/.installed ## Ask models that others made, beside onnxruntime in-process: 4 minutes, README's table
	@$(BIN)/python -m tests.others.run $(ARGS)

fuzz: .venv/.installed ## Send 100,000 mutated messages to each of the three APIs: 3 to 6 minutes (ARGS="--messages 5000 --seed 7")
	@$(BIN)/python -m tests.fuzz.fuzz $(ARGS)

bench-quick: .venv/.installed ## Measure calls a second against onnxruntime in a loop: 3 minutes, a table and build/bench.json
	@$(BIN)/python -m tests.load.bench

bench: .venv/.installed ## The same for longer, INT8 and memory by request size too: 15 minutes
	@$(BIN)/python -m tests.load.bench --long

soak: .venv/.installed ## Mixed traffic for 20 minutes, whether the server grows: a table, build/soak.json (ARGS="--transport aio --seconds 300")
	@$(BIN)/python -m tests.load.soak $(ARGS)

overload: .venv/.installed ## Twice the load that the server can carry, on both transports: a minute
	$(BIN)/python -m pytest tests/load/overload.py -s

fairness: .venv/.installed ## Whether a flood on a heavy model leaves a tiny one quick, on both transports: 4 minutes
	@$(BIN)/python -m tests.load.fairness

k8s-test: .venv/.installed ## Render deploy/kubernetes, hold each resource to its schema, run a server as a pod would: 1 to 3 minutes
	@$(BIN)/python -m tests.kubernetes.run

k8s-rules: .venv/.installed ## Write deploy/kubernetes/monitoring/prometheus_rule.yaml from deploy/prometheus/rules
	$(BIN)/python deploy/kubernetes/prometheus_rule.py

check: .venv/.installed ## Format, lint, types, import contracts, protos, stub drift, the map in ARCHITECTURE.md
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/buf lint . --config protos/buf.yaml --path protos
	$(BIN)/buf breaking . --config protos/buf.yaml --path protos/signet --against protos/released.binpb
	$(BIN)/python -m pytest tests/unit/project

protos: .venv/.installed ## Generate the stubs beside their .proto files
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. \
	  --mypy_out=. --mypy_grpc_out=. $$(find protos -name '*.proto' | sort)

reference: .venv/.installed ## Write protos/REFERENCE.md from the comments in the protos
	$(BIN)/python deploy/proto_reference.py

dashboards: .venv/.installed ## Write deploy/grafana/dashboards/*.json from the Python beside them
	$(BIN)/python -m deploy.grafana.write

# Only with a new version: what this writes may never change again. `make check` holds the protos to it.
released: .venv/.installed ## Note signet.v1 as it is now, as the released one
	$(BIN)/buf build . --config protos/buf.yaml --path protos/signet --exclude-source-info -o protos/released.binpb

constraints: ## Renew constraints.txt from pyproject.toml: the newest versions within its bounds (needs uv)
	uv pip compile --universal --upgrade --python-version 3.11 --extra train --extra dev --no-annotate \
	  --custom-compile-command 'make constraints' --output-file constraints.txt pyproject.toml

clean: ## Remove .venv and every cache; models/ stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml constraints.txt
	@echo "installing into .venv: a minute or two"
	@if command -v uv >/dev/null; then uv venv -q --allow-existing --python $(PYTHON) .venv; else $(PYTHON) -m venv .venv; fi
	@if command -v uv >/dev/null; then set -- uv pip install -q --compile-bytecode --python $(BIN)/python; else set -- $(BIN)/python -m pip install -qq; fi; \
	  "$$@" -e '.[train,dev]' -c constraints.txt && touch $@
