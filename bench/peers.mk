# SPDX-License-Identifier: GPL-2.0
#
# The peers: what make bench compares with and the kernel has no system call for.
# Included by the Makefile here, which sets KHDR and OUT.

CLANG ?= clang
BPFTOOL ?= /usr/sbin/bpftool
PEERS := $(OUT)/peer_bpf $(OUT)/peer_fuse

all: $(PEERS)

# The parameter that is not used is one of libbpf's macro.
$(OUT)/peer/peer_bpf.bpf.o: peer_bpf.bpf.c peer_bpf.h peers.mk | headers
	@mkdir -p $(@D)
	$(CLANG) --target=bpf -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror \
		-isystem $(KHDR) -c -o $@ $<

# Written at once, or a failure would leave half of it.
$(OUT)/peer/peer_bpf.skel.h: $(OUT)/peer/peer_bpf.bpf.o
	$(BPFTOOL) gen skeleton $< name peer_bpf >$@.new
	mv $@.new $@

$(OUT)/peer_bpf: peer_bpf.c peer.h peer_bpf.h $(OUT)/peer/peer_bpf.skel.h
	$(CC) $(CFLAGS) -isystem $(OUT)/peer $(LDFLAGS) -o $@ $< -lbpf

$(OUT)/peer_fuse: peer_fuse.c peer.h peers.mk | headers
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -lfuse3

clean: clean-peers

clean-peers:
	rm -rf $(PEERS) $(OUT)/peer

.PHONY: clean-peers
