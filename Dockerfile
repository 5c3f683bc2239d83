# Two images from one file: `docker build --target manager .` and `docker build --target probe .`.
# `make images` builds the same without a container engine.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY cmd cmd
COPY controllers controllers
COPY internal internal
COPY probes probes
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags '-s -w' -o /out/ ./cmd/manager ./cmd/probe

FROM gcr.io/distroless/static:nonroot AS probe
COPY --from=build /out/probe /probe
USER 65532:65532
ENTRYPOINT ["/probe"]

# The last stage is what a build without --target makes.
FROM gcr.io/distroless/static:nonroot AS manager
COPY --from=build /out/manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]
