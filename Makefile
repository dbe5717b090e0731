# The front door. Each target is a script that can be read on its own.
.DEFAULT_GOAL := help
.PHONY: help run test check sim soak fuzz ui bench sqlx dev-db doctor

help: ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

run: ## Set up what is missing and serve the dashboard
	@exec deploy/run.sh

test: ## Set up and run every test
	@deploy/test/all.sh

check: ## Format, clippy for server and page, the layers
	@deploy/test/check.sh

sim: ## Play the orchestrator's simulation: SCHEDULES=n of them (a million), or one again by SEED=n
	@exec deploy/test/sim.sh "$(SCHEDULES)" "$(SEED)"

fuzz: ## Look for what breaks the model door's parsers: TARGET=request, meter or key (each), SECONDS=n (60)
	@exec deploy/test/fuzz.sh long "$(TARGET)" "$(SECONDS)"

soak: ## The proofs that take long: a million schedules, a minute without PostgreSQL, every WebSocket case, the server killed 300 times on real Docker
	@exec deploy/test/soak.sh

ui: ## The page alone, rebuilt as it is edited, beside a running server
	@exec deploy/build/ui.sh

bench: ## Measure, against the direct way
	@deploy/bench/all.sh

sqlx: ## Record the checked queries anew
	@deploy/build/queries.sh

dev-db: ## A database to write queries against
	@deploy/dev-db.sh

doctor: ## Look at every part and say how it is
	@deploy/doctor.sh
