# What .ci/run and .ci/deep share. It is sourced in the root of the repository.

# No workspace of the surroundings takes part, and no program waits for input.
export GOWORK=off
exec </dev/null

# The linter and some nested modules may need a newer release of Go than the one
# at hand. Images of Go and actions/setup-go forbid to fetch it.
if [ "$(go env GOTOOLCHAIN)" = local ]; then
	export GOTOOLCHAIN=auto
fi

# The directories of the nested modules. .ci/tools.mod is not one of them: it
# only pins tools.
nested=$(git ls-files --cached --others --exclude-standard -- '*/go.mod' | sed 's|/go\.mod$||' | sort -u)

heading() {
	printf '\n==> %s\n' "$*"
}
