# One image for the API and the worker:  docker run IMAGE serve | worker | migrate
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements/production.txt requirements/production.txt
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements/production.txt
COPY pyproject.toml README.md ./
COPY src src
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent pm_api
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PM_ENV=production PM_HOST=0.0.0.0 PM_PORT=8000 PM_WORKER_PORT=8000
USER pm_api
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["pm-api"]
CMD ["serve"]
