"""Invented people, companies, places and reasons, in Brazilian Portuguese."""

FIRST_NAMES = (
    "Ana", "Antônio", "Beatriz", "Bruno", "Camila", "Carlos", "Cláudia", "Daniela", "Diego",
    "Eduardo", "Elisa", "Fábio", "Fernanda", "Gabriel", "Gustavo", "Helena", "Igor", "Isabela",
    "João", "José", "Juliana", "Larissa", "Leonardo", "Letícia", "Lúcia", "Luís", "Marcelo",
    "Mariana", "Mateus", "Natália", "Otávio", "Patrícia", "Paulo", "Rafael", "Renata", "Ricardo",
    "Sérgio", "Sílvia", "Tatiana", "Thiago", "Vanessa", "Vinícius", "Vitória", "Yasmin",
)  # fmt: skip
SURNAMES = (
    "Almeida", "Alves", "Araújo", "Barbosa", "Barros", "Cardoso", "Carvalho", "Castro", "Conceição",
    "Correia", "Costa", "Dias", "Duarte", "Fernandes", "Ferreira", "Freitas", "Gomes", "Gonçalves",
    "Lima", "Lopes", "Macedo", "Magalhães", "Martins", "Medeiros", "Melo", "Mendes", "Moraes",
    "Moreira", "Nascimento", "Nogueira", "Oliveira", "Peixoto", "Pereira", "Pinto", "Ramos",
    "Ribeiro", "Rocha", "Rodrigues", "Santana", "Santos", "Silva", "Souza", "Teixeira", "Vieira",
)  # fmt: skip
COMPANY_KINDS = (
    "Alimentos", "Agropecuária", "Automação", "Calçados", "Cerâmica", "Clínica", "Comércio",
    "Confecções", "Consultoria", "Construtora", "Cosméticos", "Distribuidora", "Educação",
    "Embalagens", "Energia", "Farmácias", "Ferragens", "Gráfica", "Hotelaria", "Incorporadora",
    "Indústria", "Laticínios", "Logística", "Madeireira", "Metalúrgica", "Móveis", "Óptica",
    "Papelaria", "Química", "Refrigeração", "Seguros", "Soluções", "Supermercados", "Têxtil",
    "Transportes", "Turismo", "Usinagem", "Vidraçaria",
)  # fmt: skip
COMPANY_NAMES = (
    "Água Azul", "Alvorada", "Andorinha", "Araucária", "Aurora", "Bandeirante", "Boa Vista",
    "Cachoeira", "Campo Limpo", "Capivara", "Catarinense", "Cerrado", "Colibri", "Cristal",
    "Diamantina", "Estrela do Sul", "Farol", "Guanabara", "Guará", "Horizonte", "Ipê Amarelo",
    "Jatobá", "Lagoa Nova", "Litoral", "Mantiqueira", "Mineira", "Monte Verde", "Nova Era",
    "Ouro Branco", "Paineira", "Pantanal", "Paulista", "Pérola", "Piratininga", "Planalto",
    "Ponte Alta", "Rio Claro", "Sabiá", "São Bento", "São Jorge", "Serra Dourada", "Sol Nascente",
    "Tropical", "Três Irmãos", "União", "Vale Verde", "Vitória Régia",
)  # fmt: skip
COMPANY_ENDINGS = ("Ltda.", "S.A.", "ME", "EPP", "& Filhos", "do Brasil")
# (city, state, share of companies)
CITIES = (
    ("São Paulo", "SP", 30), ("Campinas", "SP", 8), ("Rio de Janeiro", "RJ", 12),
    ("Belo Horizonte", "MG", 10), ("Curitiba", "PR", 9), ("Porto Alegre", "RS", 8),
    ("Florianópolis", "SC", 6), ("Joinville", "SC", 4), ("Goiânia", "GO", 4), ("Brasília", "DF", 4),
    ("Salvador", "BA", 5), ("Recife", "PE", 4), ("Fortaleza", "CE", 4), ("Manaus", "AM", 2),
)  # fmt: skip
STREETS = (
    "Rua das Acácias", "Avenida Paulista", "Rua XV de Novembro", "Avenida Brasil",
    "Rua Sete de Setembro", "Travessa do Comércio", "Rua Marechal Deodoro", "Alameda Santos",
)  # fmt: skip
JOB_TITLES = (
    "Diretor(a) comercial", "Gerente de compras", "Sócio(a)", "Analista de TI", "CEO",
    "Coordenador(a) de operações", "Gerente financeiro", "Assistente administrativo",
)  # fmt: skip
# (reason, weight): the same reason has several spellings, as in real accounts.
LOST_REASONS = (
    ("Preço", 26), ("preço alto", 5), ("Sem resposta", 20), ("Sem orçamento", 14),
    ("Escolheu o concorrente", 13), ("Concorrência", 4), ("Projeto adiado", 8),
    ("Não era o momento", 6), ("Falta de funcionalidade", 5), ("Contato errado", 3),
    ("Duplicado", 2), (None, 4),
)  # fmt: skip
# (name, code, category, list price in BRL, billing)
PRODUCTS = (
    ("Plano Essencial", "PL-ESS", "Assinatura", 890.0, "monthly"),
    ("Plano Profissional", "PL-PRO", "Assinatura", 2_390.0, "monthly"),
    ("Plano Corporativo", "PL-CORP", "Assinatura", 7_900.0, "annually"),
    ("Implantação", "SV-IMP", "Serviço", 4_500.0, "one-time"),
    ("Implantação expressa", "SV-IMPX", "Serviço", 7_200.0, "one-time"),
    ("Treinamento presencial", "SV-TRE", "Serviço", 3_100.0, "one-time"),
    ("Treinamento on-line", "SV-TRO", "Serviço", 1_150.0, "one-time"),
    ("Consultoria (hora)", "SV-HORA", "Serviço", 320.0, "one-time"),
    ("Integração ERP", "SV-ERP", "Projeto", 12_800.0, "one-time"),
    ("Migração de dados", "SV-MIG", "Projeto", 5_600.0, "one-time"),
    ("Módulo fiscal", "MD-FIS", "Módulo", 690.0, "monthly"),
    ("Módulo logística", "MD-LOG", "Módulo", 980.0, "monthly"),
    ("Suporte 24x7", "SP-24", "Assinatura", 1_480.0, "monthly"),
    ("Leitor de código de barras", "HW-LCB", "Equipamento", 410.0, "one-time"),
)
ACTIVITY_SUBJECTS = {
    "call": "Ligar para {}",
    "meeting": "Reunião com {}",
    "task": "Preparar proposta: {}",
    "email": "Enviar e-mail: {}",
    "deadline": "Prazo: {}",
    "lunch": "Almoço com {}",
    "whatsapp": "WhatsApp: {}",
    "visita_tecnica": "Visita técnica: {}",
}
