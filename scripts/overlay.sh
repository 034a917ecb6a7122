#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# overlay.sh: make $BUILD/linux = pristine 6.12 + patches/series + our files.
#
# What the patches and our tree say is put together in a small staging area and
# copied over by content, so that only what changed gets a new time stamp, and
# whatever was laid earlier and is no longer wanted goes back to stock.
# EXTRA_PATCH names one more patch to apply on top of everything.

. "$(dirname "$0")/common.sh"
lock_build

stage=$BUILD/stage
laid=$BUILD/.laid		# files of $LINUX that differ from $STOCK

tarball=/usr/src/linux-source-6.12.tar.xz

unpack_debian()
{
	tar -C "$STOCK.new" --strip-components=1 -xvf "$tarball"
}

copy_ksrc()
{
	rsync -av --exclude=/.git "$KSRC/" "$STOCK.new/"
	make -C "$STOCK.new" ARCH="$ARCH" mrproper
}

fetch_stock()
{
	local source
	if [ -n "$KSRC" ]; then
		grep -qs '^PATCHLEVEL = 12$' "$KSRC/Makefile" &&
			grep -q '^VERSION = 6$' "$KSRC/Makefile" ||
			die "KSRC=$KSRC is not a Linux 6.12.y source tree"
		source="$KSRC $(git -C "$KSRC" rev-parse HEAD 2>/dev/null ||
				cksum <"$KSRC/Makefile")"
	else
		[ -e "$tarball" ] || die "$tarball is missing; run scripts/deps.sh"
		source="$tarball $(stat -c '%s %Y' "$tarball")"
	fi
	[ "$source" != "$(cat "$STOCK.source" 2>/dev/null)" ] || return 0

	say "taking the source from ${KSRC:-$tarball}"
	rm -rf "$STOCK.source" "$STOCK" "$STOCK.new"
	mkdir "$STOCK.new"
	if [ -n "$KSRC" ]; then
		logged copy copy_ksrc
	else
		logged unpack unpack_debian
	fi
	mv "$STOCK.new" "$STOCK"
	echo "$source" >"$STOCK.source"
}

# apply PATCH [OPTION...]
apply()
{
	local log=$LOGS/patch.log
	patch -d "$stage" -p1 -s -f --no-backup-if-mismatch "${@:2}" <"$1" \
		>"$log" 2>&1 || {
		cat "$log" >&2
		die "$1 does not apply"
	}
}

[ "$STOCK" != "$BUILD/stock" ] || fetch_stock
cd "$TOP"
if ! cmp -s "$STOCK.source" "$LINUX.source"; then
	rm -rf "$laid" "$LINUX"
	cp -al "$STOCK" "$LINUX"
	cp "$STOCK.source" "$LINUX.source"
fi

rm -rf "$stage"
mkdir "$stage"
series=$(sed 's/#.*//; /./s,^,patches/,' patches/series)
sed -n 's,^+++ b/\([^[:space:]]*\).*,\1,p' $series ${EXTRA_PATCH:-} | sort -u |
	while read -r f; do
		[ ! -e "$STOCK/$f" ] || (cd "$STOCK" && cp --parents "$f" "$stage")
	done
for p in $series; do
	apply "$p"
done
for d in Documentation drivers include mm samples tools; do
	[ ! -d "$d" ] || our_files "$d"
done | xargs cp --parents -t "$stage"
cp Kconfig "$stage/mm/Kconfig.mmu_notifier"
# What breaks something has to break that, not what looks a little like it.
[ -z "${EXTRA_PATCH:-}" ] || apply "$EXTRA_PATCH" --fuzz=0

(cd "$stage" && find . -type f | sort) >"$laid.new"
sed -n 's,^remove ,./,p' patches/MANIFEST | sort >"$laid.gone"
if [ -e "$laid" ]; then
	sort "$laid.new" "$laid.gone" | comm -23 "$laid" - | while read -r f; do
		rm -f "$LINUX/$f"
		# a copy, not a link: make has to see that it changed
		[ ! -e "$STOCK/$f" ] || cp "$STOCK/$f" "$LINUX/$f"
	done
fi
sort "$laid.new" "$laid.gone" >"$laid"
(cd "$LINUX" && xargs -r rm -f <"$laid.gone")
rsync -rcp --files-from="$laid.new" "$stage/" "$LINUX/"
rm "$laid.new" "$laid.gone"
