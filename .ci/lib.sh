# What .ci/run and .ci/deep share. It is sourced in the root of the repository.

# No workspace of the surroundings takes part, and no program waits for input.
export GOWORK=off
exec </dev/null

# The directories of the nested modules. .ci/tools.mod is not one of them: it
# only pins tools.
nested=$(git ls-files --cached --others --exclude-standard -- '*/go.mod' | sed 's|/go\.mod$||' | sort -u)

heading() {
	printf '\n==> %s\n' "$*"
}
