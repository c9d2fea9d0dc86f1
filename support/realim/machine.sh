#!/bin/sh
# Makes the root folder of machines that an IM can configure: ./root. Arguments: the suite of Debian, and a mirror of it.
set -eu
debootstrap --variant=minbase "$1" root "$2"
cp /etc/resolv.conf /etc/hosts root/etc/
printf '#!/bin/sh\nexit 101\n' >root/usr/sbin/policy-rc.d # nothing that is installed starts
chmod +x root/usr/sbin/policy-rc.d
inside() {
    env DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot root "$@"
}
inside apt-get -o Acquire::Retries=3 update
inside apt-get -o Acquire::Retries=3 install --yes --no-install-recommends \
    openssh-server sudo procps wget sshpass unzip ansible python3-apt python3-paramiko python3-psutil python3-scp
inside apt-get clean
rm -rf root/var/lib/apt/lists/*
: >root/etc/apt/sources.list # IM asks for the news before it installs what is there already
inside useradd --create-home --shell /bin/bash --password '*' ubuntu
echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >root/etc/sudoers.d/ubuntu
mkdir -p root/etc/kubernetes

# IM fetches Ansible from the internet by micromamba, unless that is there. What stands for it runs what Debian has.
mamba=root/var/tmp/.mamba
mkdir -p $mamba/bin $mamba/envs/ansible/bin $mamba/envs/ansible/etc $mamba/envs/ansible/lib $mamba/envs/ansible/share
cat >$mamba/bin/micromamba <<'END'
#!/bin/sh
[ "$1" = run ] || exit 0
shift 3
exec "$@"
END
chmod +x $mamba/bin/micromamba
ln -s /usr/bin/ansible $mamba/envs/ansible/bin/ansible
