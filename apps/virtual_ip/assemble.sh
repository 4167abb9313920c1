#!/bin/sh
# Unpacks Debian packages and makes the image's file system of what is needed of them:
#
#     assemble.sh PACKAGES ETC IMAGE
#
# PACKAGES: folder of the .deb files; ETC: folder of the image's /etc; IMAGE: folder to make. No package is installed
# and none of their scripts runs. The result equals that of toolchain/images/virtual_ip.py, which a test compares.
set -eu

packages=$1 etc=$2 image=$3
unpacked=$image.unpacked
libraries=usr/lib/x86_64-linux-gnu
programs='usr/bin/busybox usr/bin/flock usr/sbin/haproxy usr/sbin/keepalived usr/sbin/nft'

# A merged /usr, as every Debian since bookworm has it; packages still name the old places.
merge() {
    for name in bin sbin lib lib64; do
        mkdir -p "$1/usr/$name"
        ln -s "usr/$name" "$1/$name"
    done
}

mkdir -p "$unpacked" "$image"
merge "$unpacked"
merge "$image"
for package in "$packages"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" \
        | tar --extract --keep-directory-symlink --no-same-owner --directory="$unpacked"
done

for program in $programs; do
    cp "$unpacked/$program" "$image/$program"
done
mkdir -p "$image/$libraries"
for library in "$unpacked/$libraries"/*.so*; do
    # Folders hold plug-ins, which nothing here loads.
    if [ -L "$library" ] || [ -f "$library" ]; then
        cp -P "$library" "$image/$libraries/"
    fi
done
cp -P "$unpacked"/usr/lib64/* "$image/usr/lib64/"

# Licences.
mkdir -p "$image/usr/share/doc"
for documentation in "$unpacked"/usr/share/doc/*; do
    name=${documentation##*/}
    if [ -L "$documentation" ]; then
        cp -P "$documentation" "$image/usr/share/doc/"
        continue
    fi
    mkdir "$image/usr/share/doc/$name"
    if [ -L "$documentation/copyright" ] || [ -f "$documentation/copyright" ]; then
        cp -P "$documentation/copyright" "$image/usr/share/doc/$name/"
    fi
done

mkdir "$image/etc" "$image/dev" "$image/proc" "$image/sys" "$image/run" "$image/tmp"
cp "$etc"/* "$image/etc/"

rm -r "$unpacked"
find "$image" -type d -exec chmod 755 {} +
find "$image" -type f -perm -u+x -exec chmod 755 {} +
find "$image" -type f ! -perm -u+x -exec chmod 644 {} +
chmod 1777 "$image/tmp"
