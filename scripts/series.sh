#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series.sh: turn patches/ and our files into patches for git am, grouped as
# patches/MANIFEST says. The commits are made in a small repository that holds
# only the files concerned.

. "$(dirname "$0")/common.sh"
lock_build
"$TOP/scripts/overlay.sh"

series=$BUILD/series
repo=$BUILD/series.git
rm -rf "$series" "$repo"
mkdir -p "$series" "$repo"

author=$(git -C "$TOP" config user.name || echo "mmu-notifier series")
email=$(git -C "$TOP" config user.email || echo noreply@localhost)
in_repo()
{
	git -C "$repo" -c user.name="$author" -c user.email="$email" -c commit.gpgsign=false "$@"
}

in_repo init -q
manifest=$(sed 's/#.*//' "$TOP/patches/MANIFEST")
(cd "$STOCK" && {
	sed 's,^\./,,' "$BUILD/.laid"
	sed -n 's/^remove //p' <<<"$manifest"
} | while read -r f; do
	[ ! -e "$f" ] || cp --parents "$f" "$repo"
done)
in_repo add -A
in_repo commit -q -m stock
in_repo tag base

# finish: commit the step that has been put together
finish()
{
	[ -n "$slug" ] || return 0
	in_repo add -f -A
	in_repo commit -q -F "$(message)" || die "step $slug of the manifest changes nothing"
}

message()
{
	local file=$TOP/patches/messages/$slug
	if [ ! -e "$file" ]; then
		[ "$(wc -w <<<"$patches")" = 1 ] ||
			die "step $slug of the manifest needs a message, patches/messages/$slug"
		file=$BUILD/.message
		sed '/^---$/,$d' "$TOP/patches/${patches# }" >"$file"
	fi
	echo "$file"
}

slug=
patches=
cd "$TOP"
while read -r word rest; do
	case $word in
	"")	;;
	"["*"]")
		finish
		slug=${word:1:-1} patches= ;;
	patch)
		patches+=" $rest"
		patch -d "$repo" -p1 -s -f --no-backup-if-mismatch <"patches/$rest" ||
			die "patches/$rest does not apply in step $slug" ;;
	file)
		for f in $rest; do
			[ -e "$f" ] || die "step $slug of the manifest: $f is not there"
			our_files "$f"
		done | xargs cp --parents -t "$repo" ;;
	remove)
		rm "$repo/$rest" ;;
	options)
		awk -v keep=" $rest " '
			/^[^ \t]/ { drop = $1 == "config" && !index(keep, " " $2 " ") }
			!drop' Kconfig >"$repo/mm/Kconfig.mmu_notifier" ;;
	*)
		die "patches/MANIFEST: $word is not known" ;;
	esac
done <<<"$manifest"
finish

# Whatever the overlay lays must be what the series ends with.
(cd "$BUILD/stage" && find . -type f | sed 's,^\./,,' | sort) >"$BUILD/.series.want"
in_repo ls-files | sort | diff "$BUILD/.series.want" - | grep '^[<>]' >"$LOGS/series.log" &&
	die "laid but in no step of the manifest (<), or the reverse (>):"$'\n'"$(cat "$LOGS/series.log")"
diff -r -x .git "$BUILD/stage" "$repo" >"$LOGS/series.log" ||
	die "the series and the overlay differ; see $LOGS/series.log"

in_repo format-patch -q -M --cover-letter -o "$series" base
cover=$series/0000-cover-letter.patch
python3 - "$cover" patches/messages/cover <<'PY'
import sys
path, text = sys.argv[1:]
with open(text) as f:
    subject, body = f.read().split("\n", 1)
with open(path) as f:
    letter = f.read()
letter = letter.replace("*** SUBJECT HERE ***", subject)
letter = letter.replace("*** BLURB HERE ***", body.strip())
with open(path, "w") as f:
    f.write(letter)
PY
rm -rf "$repo"
say "$(ls "$series" | wc -l) files in $series"
