# RobustMQ. `make run` and `make test` do all the set-up: python3 (3.11 or later), a C compiler and make are enough.
SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
JOBS   ?= 2
ARGS   ?=
ROUNDS ?= 500
SOURCES = $(shell find robustmq -name '*.pyx' -o -name '*.pxd' -o -name '*.h') setup.py
SHIMS   = $(shell find tests/shims -name '*.pyx')
BUILD   = ROBUSTMQ_SHIMS=1 ROBUSTMQ_JOBS=$(JOBS) $(PY) setup.py -q build_ext --inplace
SANITIZED_address = tests/unit tests/spec tests/interop/test_mqtt_stress.py
SANITIZED_thread  = tests/unit/test_mailbox.py tests/unit/test_qsbr.py $(wildcard tests/unit/test_reactor*.py) \
                    tests/unit/test_journal.py tests/unit/test_guard.py tests/unit/test_out.py \
                    tests/unit/test_partition.py tests/unit/test_sealed.py tests/unit/test_merge.py tests/contract/test_log.py \
                    tests/interop/test_mqtt_stress.py

.PHONY: help run test build lint cross bench asan tsan crash crash-sessions powercut model damage outage fuzz conformance-mqtt conformance-kafka messages kafka-jars hadoop-jars wheel clean

help:            ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

run: build       ## the broker with its defaults (ARGS="--set mqtt.listen=127.0.0.1:1884" for others)
	@$(BIN)/robustmq-server --hints $(ARGS)

test: build      ## all tests
	@$(PY) -m pytest $(ARGS) tests

build: $(VENV)/.built

# The environment is made again only when what it needs has changed.
$(VENV)/.ready: pyproject.toml .ci/venv.sh .ci/empty_venv.sh
	@sh .ci/venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.built: $(VENV)/.ready $(SOURCES) $(SHIMS)
	@echo "robustmq: compiling what changed ($(JOBS) at a time)"
	@$(BUILD) 2>&1 | { grep -v '^Compiling ' || true; }
	@touch $@

lint: build      ## ruff, mypy, and our C headers under -Wall -Wextra -Werror
	@$(BIN)/ruff check .
	@$(PY) -m mypy
	@for header in robustmq/_fastpath/include/*.h; do \
		echo "#include \"$$header\"" | $(or $(CC),gcc) -std=gnu11 -Wall -Wextra -Werror -Wno-unused-function \
			-I robustmq/_fastpath/include -fsyntax-only -x c - -I . || exit 1; done
	@echo "lint: clean"

cross: build     ## compile the C for macOS, musl and arm64, too (a check: nothing is linked)
	@$(PY) -m pip install -q --disable-pip-version-check 'ziglang>=0.13'
	@ROBUSTMQ_JOBS=$(JOBS) $(PY) wheels/ci/cross.py

bench: build     ## benchmarks of every kernel
	@$(PY) -m pytest $(ARGS) benchmarks --benchmark-columns=min,median,ops

asan: $(VENV)/.ready    ## unit tests, vectors and a broker under stress, under AddressSanitizer and UBSan, in a build of their own
	@sh tests/sanitize.sh address $(PY) $(SANITIZED_address)

tsan: $(VENV)/.ready    ## reactor, mailbox and log tests and a broker under stress, under ThreadSanitizer
	@sh tests/sanitize.sh thread $(PY) $(SANITIZED_thread)

crash: build     ## SIGKILL under load, ROUNDS=500 times, and what must be left (ARGS="--durability disk")
	@$(PY) -m tests.crash.broker_kill --rounds $(ROUNDS) $(ARGS)

crash-sessions: build    ## the same for persistent MQTT sessions: nothing missing, at QoS 2 nothing twice
	@$(PY) -m tests.crash.session_kill --rounds $(ROUNDS) $(ARGS)

powercut: ROUNDS = 200
powercut: build  ## power cuts under load, ROUNDS=200 times: what was not synced is gone
	@$(PY) -m tests.crash.power_cut --rounds $(ROUNDS) $(ARGS)
	@$(PY) -m tests.crash.log_power --rounds $(ROUNDS)

damage: build     ## flipped bits and cuts at 10,000 places of sealed files and in the journal's tail (ARGS="--seed 1")
	@$(PY) -m tests.crash.damage $(ARGS)

outage: AWAY = 600
outage: build     ## an S3 that is away for AWAY=600 under load: what must not stop, and what must not be lost
	@$(PY) -m tests.crash.blob_outage --seconds $(AWAY)

model: EXAMPLES = 3000
model: build      ## the log against its model, EXAMPLES=3000 histories with kills, seals, compactions
	@ROBUSTMQ_MODEL_EXAMPLES=$(EXAMPLES) $(PY) -m pytest -q $(ARGS) tests/unit/test_log_model.py

fuzz: $(VENV)/.ready    ## coverage-guided fuzzing of every decoder (ARGS="--seconds 600": for each)
	@$(PY) -m tests.fuzz.run $(ARGS)

conformance-mqtt: build     ## Eclipse's public MQTT interoperability tests
	@$(PY) -m tests.interop.conformance_mqtt $(ARGS)

conformance-kafka: build    ## kafka-python's own integration tests
	@$(PY) -m tests.interop.conformance_kafka $(ARGS)

messages: $(VENV)/.ready    ## Kafka's codecs, from their schema
	@$(PY) -m robustmq._fastpath.protocols.kafka.messages.generate

kafka-jars:      ## Apache Kafka's broker from Maven Central, for `robustmq-bench compare --kafka-home build/kafka`
	@mvn -q -f benchmarks/kafka-pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/build/kafka && ls build/kafka | wc -l

hadoop-jars:     ## Apache Hadoop's small cluster from Maven Central, for the tests of HDFS
	@mvn -q -f tests/contract/hadoop-pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/build/hadoop && ls build/hadoop | wc -l

wheel: $(VENV)/.ready       ## dist/*.whl
	@$(PY) -m pip wheel -q --no-deps -w dist . && ls dist

clean:           ## everything that was made here, but not .venv
	@rm -rf build dist *.egg-info .benchmarks $(VENV)/.built
	@find robustmq tests \( -name '*.so' -o -name __pycache__ \) -prune -exec rm -rf {} +
