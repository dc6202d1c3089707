"""Custom fields of the generated account: every type, and labels that are hard for other tools.

Each plan is (label, type, share of records that have a value, options). Among the labels: accents,
two that differ only in case or accents, the same label twice, reserved words, more than 63 bytes, a
shared prefix of 63 bytes, other scripts, emoji, and one that collides with the second part of a
monetary field.
"""

from __future__ import annotations

from typing import NamedTuple


class FieldPlan(NamedTuple):
    """A custom field to define, and how often records have a value for it."""

    name: str
    type: str
    fill: float
    options: tuple[str, ...] = ()


# This field predicts a win: see `process.TEMPERATURE_EFFECT`.
TEMPERATURE = "Temperatura do lead"
# One option of this field is deleted after records have chosen it.
ORIGIN = "Origem da oportunidade"
DELETED_ORIGIN = "Lista fria (descontinuada)"

DEAL_FIELDS = (
    FieldPlan(TEMPERATURE, "enum", 0.94, ("Quente", "Morno", "Frio")),
    FieldPlan(
        ORIGIN, "enum", 0.9,
        ("Indicação", "Site", "Feira", "Prospecção ativa", "Parceiro", DELETED_ORIGIN),
    ),
    FieldPlan("Segmento", "enum", 0.85, ("Indústria", "Varejo", "Serviços", "Setor público")),
    FieldPlan("Nº de usuários", "double", 0.8),
    FieldPlan("Nº da proposta", "varchar", 0.55),
    FieldPlan("Concorrente", "varchar_auto", 0.22),
    FieldPlan("Desconto (%)", "double", 0.3),
    FieldPlan("Valor de implantação", "monetary", 0.4),
    FieldPlan("Previsão de Ganho", "date", 0.35),
    FieldPlan("Previsao de ganho", "date", 0.05),
    FieldPlan(
        "Módulos de interesse", "set", 0.45,
        ("Financeiro", "Estoque", "Fiscal", "Logística", "CRM", "Relatórios"),
    ),
    FieldPlan("Pré-vendedor (SDR)", "user", 0.3),
    FieldPlan("Parceiro indicador", "org", 0.1),
    FieldPlan("Decisor", "people", 0.25),
    FieldPlan("WhatsApp do decisor", "phone", 0.2),
    FieldPlan("Melhor horário para contato", "time", 0.12),
    FieldPlan("Janela de atendimento", "timerange", 0.08),
    FieldPlan("Vigência do contrato", "daterange", 0.18),
    FieldPlan("Endereço de entrega", "address", 0.12),
    FieldPlan(
        "Justificativa detalhada da alteração do valor inicialmente proposto ao cliente na reunião",
        "text", 0.06,
    ),
    FieldPlan(
        "Justificativa detalhada da alteração do valor inicialmente proposto ao cliente na ligação",
        "text", 0.04,
    ),
    FieldPlan("order", "varchar", 0.15),
    FieldPlan("status", "enum", 0.2, ("Em análise", "Aprovado", "Recusado")),
    FieldPlan("select", "double", 0.05),
    FieldPlan("Valor", "monetary", 0.1),
    FieldPlan("valor currency", "varchar", 0.05),
    FieldPlan("Observações", "text", 0.18),
    FieldPlan("Observações", "varchar", 0.07),
    FieldPlan("日本語メモ", "varchar", 0.02),
    FieldPlan("🔥 Prioridade 🔥", "enum", 0.25, ("Alta 🔥", "Média", "Baixa")),
    FieldPlan("Straße ½ Ø", "varchar", 0.02),
    FieldPlan("Cliente já usa sistema?", "enum", 0.6, ("Sim", "Não")),
    FieldPlan("Campo nunca usado", "text", 0.0),
)  # fmt: skip
PERSON_FIELDS = (
    FieldPlan("CPF", "varchar", 0.4),
    FieldPlan("Papel na decisão", "enum", 0.5, ("Decisor", "Influenciador", "Usuário")),
    FieldPlan("Último contato", "date", 0.3),
)
ORGANIZATION_FIELDS = (
    FieldPlan("CNPJ", "varchar", 0.7),
    FieldPlan("Porte", "enum", 0.8, ("Micro", "Pequena", "Média", "Grande")),
    FieldPlan("Faturamento anual", "monetary", 0.35),
    FieldPlan("Data da última visita", "date", 0.25),
    FieldPlan("Filiais", "set", 0.2, ("Sul", "Sudeste", "Centro-Oeste", "Nordeste", "Norte")),
)
PRODUCT_FIELDS = (
    FieldPlan("Código NCM", "varchar", 0.8),
    FieldPlan("Margem (%)", "double", 0.9),
    FieldPlan("Linha", "enum", 1.0, ("Software", "Serviços", "Hardware")),
)
PROJECT_FIELDS = (
    FieldPlan("Complexidade", "enum", 0.7, ("Baixa", "Média", "Alta")),
    FieldPlan("Horas contratadas", "double", 0.5),
)
